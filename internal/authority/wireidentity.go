package authority

import (
	"context"
	"net/http"
)

// me has the fields of the kenbun API's current user, the organization that the
// credential is bound to, what it may do now, and the unit that it works in.
type me struct {
	OrgMemberID string   `json:"org_member_id"`
	FirstName   string   `json:"first_name"`
	LastName    string   `json:"last_name"`
	Email       string   `json:"email"`
	Role        Role     `json:"role"`
	Verified    bool     `json:"verified"`
	OrgID       string   `json:"org_id"`
	Permissions []string `json:"permissions"`
	ActiveUnit  *string  `json:"active_ou"` // null where the organization has no unit
}

// listedUnit has the fields of the kenbun API documentation, Organizational
// Units.
type listedUnit struct {
	UnitID      string  `json:"unit_id"`
	OrgID       string  `json:"org_id"`
	Name        string  `json:"name"`
	Slug        string  `json:"slug"`
	ExternalRef *string `json:"external_ref"`
	IsDefault   bool    `json:"is_default"`
}

func (a *Authority) serveMe(w http.ResponseWriter, r *http.Request, as identity) error {
	active, err := a.activeUnit(r.Context(), as.memberID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, me{
		OrgMemberID: as.memberID, FirstName: as.firstName, LastName: as.lastName, Email: as.email,
		Role: as.role, Verified: as.verified, OrgID: as.orgID, Permissions: as.permissions.names(), ActiveUnit: active,
	})
}

func (a *Authority) serveUnits(w http.ResponseWriter, r *http.Request, as identity) error {
	units, err := a.units(r.Context(), as.orgID)
	if err != nil {
		return err
	}
	list := make([]listedUnit, 0, len(units))
	for _, u := range units {
		list = append(list, listedUnit{UnitID: u.id, OrgID: u.orgID, Name: u.name, Slug: u.slug, ExternalRef: u.externalRef, IsDefault: u.isDefault})
	}
	return writeJSON(w, http.StatusOK, list)
}

// activeUnitBody names the unit that a member works in, as the kenbun API
// documentation does.
type activeUnitBody struct {
	UnitID string `json:"ouId"`
}

// serveActiveUnit keeps the choice for the member and not for the credential:
// there is no cookie here that would have to be sent back.
func (a *Authority) serveActiveUnit(w http.ResponseWriter, r *http.Request, as identity) error {
	body, err := readJSONBody(w, r)
	if err != nil {
		return err
	}
	var unitID string
	err = decodeObject(body, stringField("ouId", func(s string) error {
		unitID = s
		return nil
	}))
	switch {
	case err != nil:
		return refusedBody(err)
	case unitID == "":
		return badRequest("ouId is required: see the units with GET /org-units")
	}
	if err := a.setActiveUnit(r.Context(), as, unitID); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, activeUnitBody{UnitID: unitID})
}

type health struct {
	Status string `json:"status"`
}

// serveHealth answers 503 when the store does not, and says nothing about it:
// anybody may ask.
func (a *Authority) serveHealth(w http.ResponseWriter, r *http.Request, _ identity) error {
	ctx, cancel := context.WithTimeout(r.Context(), verifyTimeout)
	defer cancel()
	var one int
	if err := a.db.read.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
		return unavailable()
	}
	return writeJSON(w, http.StatusOK, health{Status: "ok"})
}
