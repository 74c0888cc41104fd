package authority

import "net/http"

// me has the fields of the kenbun API's current user, and the organization
// that the credential is bound to.
type me struct {
	OrgMemberID string `json:"org_member_id"`
	FirstName   string `json:"first_name"`
	LastName    string `json:"last_name"`
	Email       string `json:"email"`
	Role        Role   `json:"role"`
	Verified    bool   `json:"verified"`
	OrgID       string `json:"org_id"`
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

func (a *Authority) serveMe(w http.ResponseWriter, _ *http.Request, as identity) error {
	return writeJSON(w, http.StatusOK, me{
		OrgMemberID: as.memberID, FirstName: as.firstName, LastName: as.lastName, Email: as.email,
		Role: as.role, Verified: as.verified, OrgID: as.orgID,
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

type health struct {
	Status string `json:"status"`
}

// serveHealth answers 503 when the store does not, and says nothing about it:
// anybody may ask.
func (a *Authority) serveHealth(w http.ResponseWriter, r *http.Request, _ identity) error {
	var one int
	if err := a.db.read.QueryRowContext(r.Context(), `SELECT 1`).Scan(&one); err != nil {
		return unavailable()
	}
	return writeJSON(w, http.StatusOK, health{Status: "ok"})
}
