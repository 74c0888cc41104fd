package api

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// me has the fields of the kenbun API's current user, and what this API adds.
type me struct {
	OrgMemberID string      `json:"org_member_id"`
	FirstName   string      `json:"first_name"`
	LastName    string      `json:"last_name"`
	Email       string      `json:"email"`
	Role        domain.Role `json:"role"`
	Verified    bool        `json:"verified"`
	OrgID       string      `json:"org_id"`
	Permissions []string    `json:"permissions"`
	ActiveUnit  *string     `json:"active_ou"` // null where the organization has no unit
}

// listedUnit has the fields of kenbun's Organizational Units.
type listedUnit struct {
	UnitID      string  `json:"unit_id"`
	OrgID       string  `json:"org_id"`
	Name        string  `json:"name"`
	Slug        string  `json:"slug"`
	ExternalRef *string `json:"external_ref"`
	IsDefault   bool    `json:"is_default"`
}

func (a *API) serveMe(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	active, err := a.Users.ActiveUnit(r.Context(), as.MemberID)
	if err != nil {
		return err
	}
	return exchange.WriteJSON(w, http.StatusOK, me{
		OrgMemberID: as.MemberID, FirstName: as.FirstName, LastName: as.LastName, Email: as.Email,
		Role: as.Role, Verified: as.Verified, OrgID: as.OrgID, Permissions: as.Permissions.Names(), ActiveUnit: active,
	})
}

func (a *API) serveUnits(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	units, err := a.Users.Units(r.Context(), as.OrgID)
	if err != nil {
		return err
	}
	list := make([]listedUnit, 0, len(units))
	for _, u := range units {
		list = append(list, listedUnit{UnitID: u.ID, OrgID: u.OrgID, Name: u.Name, Slug: u.Slug, ExternalRef: u.ExternalRef, IsDefault: u.IsDefault})
	}
	return exchange.WriteJSON(w, http.StatusOK, list)
}

// activeUnitBody names the unit that a member works in.
type activeUnitBody struct {
	UnitID string `json:"ouId"`
}

// serveActiveUnit stores the choice for the member, not for the credential.
func (a *API) serveActiveUnit(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
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
		return exchange.BadRequest("ouId is required: see the units with GET /org-units")
	}
	if err := a.Users.SetActiveUnit(r.Context(), as, unitID); err != nil {
		return err
	}
	return exchange.WriteJSON(w, http.StatusOK, activeUnitBody{UnitID: unitID})
}

type health struct {
	Status string `json:"status"`
}

// serveHealth answers 503 without details if the store does not respond.
func (a *API) serveHealth(w http.ResponseWriter, r *http.Request, _ domain.Identity) error {
	ctx, cancel := context.WithTimeout(r.Context(), domain.VerifyTimeout)
	defer cancel()
	if err := a.Ping(ctx); err != nil {
		return exchange.Unavailable()
	}
	return exchange.WriteJSON(w, http.StatusOK, health{Status: "ok"})
}

// usagePage has the form of the kenbun API's paged lists.
type usagePage struct {
	Uses  []usageRow `json:"uses"`
	Total int        `json:"total"`
	Page  int        `json:"page"`
	Limit int        `json:"limit"`
}

type usageRow struct {
	At        timestamp `json:"at"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"`
	RequestID string    `json:"request_id"`
}

func (a *API) serveUsage(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	page, limit, err := pageOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	a.Usage.Flush(r.Context())
	uses, total, err := a.Tokens.UsesOf(r.Context(), as.UserID, r.PathValue("id"), page, limit)
	if err != nil {
		return err
	}
	answer := usagePage{Uses: make([]usageRow, 0, len(uses)), Total: total, Page: page, Limit: limit}
	for _, u := range uses {
		answer.Uses = append(answer.Uses, usageRow{At: timestamp(u.At), Method: u.Method, Path: u.Path, Status: u.Status, RequestID: u.RequestID})
	}
	return exchange.WriteJSON(w, http.StatusOK, answer)
}

// pageOf reads page and limit out of a query, and refuses unknown parameters.
func pageOf(rawQuery string) (page, limit int, err error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return 0, 0, exchange.BadRequest("the query is not properly encoded")
	}
	page, limit = 1, exchange.PageSize
	for name, values := range query {
		if len(values) > 1 {
			return 0, 0, exchange.BadRequest(plaintext.QuoteShort(name) + " comes more than once in the query: send it once")
		}
		switch name {
		case "page":
			page, err = countParameter(name, values[0], exchange.MaxPage)
		case "limit":
			limit, err = countParameter(name, values[0], exchange.MaxPageSize)
		default:
			err = exchange.BadRequest("there is no parameter " + plaintext.QuoteShort(name) + " here: the parameters are page, limit")
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return page, limit, nil
}

func countParameter(name, value string, greatest int) (int, error) {
	n, err := strconv.Atoi(value)
	// Atoi accepts a sign.
	if err != nil || n < 1 || n > greatest || value[0] == '+' {
		return 0, exchange.BadRequest(fmt.Sprintf("%s must be a whole number from 1 to %d", name, greatest))
	}
	return n, nil
}

// Description is the interface in OpenAPI 3.1. Tests check requests and answers against it.
//
//go:embed openapi.json
var Description []byte

func (a *API) serveDescription(w http.ResponseWriter, _ *http.Request, _ domain.Identity) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(Description)
	return err
}
