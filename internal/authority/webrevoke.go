package authority

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// fact is a line of what is known of a token.
type fact struct{ Label, Value string }

type revokeView struct {
	Facts  []fact
	Action string
	// Revoked tells that the token is dead already, and only Made are left.
	Revoked bool
	// Made are the live tokens that were made with it.
	Made []tokenRow
}

func (t token) facts(now time.Time) []fact {
	facts := []fact{
		{"Name", t.name},
		{"Begins with", t.prefix},
		{"Permissions", permissionsInWords(t.permissions)},
		{"Created", webDate(t.createdAt) + " UTC"},
		{"Last used", optionalDate(t.lastUsedAt, "never")},
	}
	if t.validFrom != nil {
		facts = append(facts, fact{"Valid from", optionalDate(t.validFrom, "")})
	}
	facts = append(facts, fact{"Expires", optionalDate(t.expiresAt, "never")}, fact{"State", stateLabels[t.state(now)]})
	if t.revokedAt != nil {
		facts = append(facts, fact{"Revoked", optionalDate(t.revokedAt, "")})
	}
	return facts
}

func permissionsInWords(set permissionSet) string {
	if set == nil {
		return "all of your role"
	}
	return strings.Join(set.names(), ", ")
}

func optionalDate(t *time.Time, otherwise string) string {
	if t == nil {
		return otherwise
	}
	return webDate(*t) + " UTC"
}

// ownToken returns the token that an address names, or errTokenNotFound.
func (a *Authority) ownToken(r *http.Request, as identity) (token, error) {
	tokens, err := a.tokensOf(r.Context(), as.userID)
	if err != nil {
		return token{}, err
	}
	return findToken(tokens, r.PathValue("id"))
}

func (a *Authority) serveRevokeForm(w http.ResponseWriter, r *http.Request, as identity) error {
	tokens, err := a.tokensOf(r.Context(), as.userID)
	if err != nil {
		return err
	}
	t, err := findToken(tokens, r.PathValue("id"))
	if err != nil {
		return err
	}
	now := a.now()
	made := madeWith(tokens, t.id, now)
	if t.revokedAt != nil && len(made) == 0 {
		return a.seeOther(w, afterRevoking(t.id))
	}
	view := revokeView{Facts: t.facts(now), Action: tokenPath(t.id) + "/revoke", Revoked: t.revokedAt != nil}
	for _, child := range made {
		view.Made = append(view.Made, newTokenRow(child, now))
	}
	title := "Revoke this token?"
	if view.Revoked {
		title = "Revoke what was made with this token?"
	}
	return a.show(w, as, webPage{template: "revoke", status: http.StatusOK, title: title, data: view})
}

func (a *Authority) serveRevoke(w http.ResponseWriter, r *http.Request, as identity) error {
	id := r.PathValue("id")
	revoke := a.revokeToken
	if r.PostForm.Get("descendants") == "yes" {
		revoke = a.revokeLine
	}
	err := revoke(r.Context(), as.userID, id)
	if errors.Is(err, errTokenNotFound) {
		// A form that is sent twice finds the token revoked, which is what it
		// was to come to.
		if t, missing := a.ownToken(r, as); missing == nil && t.revokedAt != nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return a.seeOther(w, afterRevoking(id))
}

func afterRevoking(id string) string { return webTokensPath + "?revoked=" + url.QueryEscape(id) }
