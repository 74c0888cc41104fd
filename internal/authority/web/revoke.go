package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"

	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// fact is a labelled property of a token.
type fact struct{ Label, Value string }

type revokeView struct {
	Facts  []fact
	Action string
	// Revoked means that only Made are left to revoke.
	Revoked bool
	// Made are the live tokens that were made with it.
	Made []tokenRow
}

func facts(t domain.Token, now time.Time) []fact {
	facts := []fact{
		{"Name", t.Name},
		{"Begins with", t.Prefix},
		{"Permissions", permissionsInWords(t.Permissions)},
		{"Created", webDate(t.CreatedAt) + " UTC"},
		{"Last used", optionalDate(t.LastUsedAt, "never")},
	}
	if t.ValidFrom != nil {
		facts = append(facts, fact{"Valid from", optionalDate(t.ValidFrom, "")})
	}
	facts = append(facts, fact{"Expires", optionalDate(t.ExpiresAt, "never")}, fact{"State", stateLabels[t.State(now)]})
	if t.RevokedAt != nil {
		facts = append(facts, fact{"Revoked", optionalDate(t.RevokedAt, "")})
	}
	return facts
}

func permissionsInWords(set domain.PermissionSet) string {
	if set == nil {
		return "all of your role"
	}
	return strings.Join(set.Names(), ", ")
}

func optionalDate(t *time.Time, otherwise string) string {
	if t == nil {
		return otherwise
	}
	return webDate(*t) + " UTC"
}

// ownToken returns the token that an address names, or [domain.ErrTokenNotFound].
func (h *Handler) ownToken(r *http.Request, as domain.Identity) (domain.Token, error) {
	tokens, err := h.Tokens.TokensOf(r.Context(), as.UserID)
	if err != nil {
		return domain.Token{}, err
	}
	return findToken(tokens, r.PathValue("id"))
}

func (h *Handler) serveRevokeForm(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	tokens, err := h.Tokens.TokensOf(r.Context(), as.UserID)
	if err != nil {
		return err
	}
	t, err := findToken(tokens, r.PathValue("id"))
	if err != nil {
		return err
	}
	now := h.Gateway.Now()
	made := madeWith(tokens, t.ID, now)
	if t.RevokedAt != nil && len(made) == 0 {
		return h.seeOther(w, afterRevoking(t.ID))
	}
	view := revokeView{Facts: facts(t, now), Action: tokenPath(t.ID) + "/revoke", Revoked: t.RevokedAt != nil}
	for _, child := range made {
		view.Made = append(view.Made, newTokenRow(child, now))
	}
	title := "Revoke this token?"
	if view.Revoked {
		title = "Revoke what was made with this token?"
	}
	return h.show(w, as, webPage{template: "revoke", status: http.StatusOK, title: title, data: view})
}

func (h *Handler) serveRevoke(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	id := r.PathValue("id")
	revoke := h.Tokens.Revoke
	if r.PostForm.Get("descendants") == "yes" {
		revoke = h.Tokens.RevokeLine
	}
	err := revoke(r.Context(), as.UserID, id)
	if errors.Is(err, domain.ErrTokenNotFound) {
		// A form that is sent twice has the same result.
		if t, missing := h.ownToken(r, as); missing == nil && t.RevokedAt != nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return h.seeOther(w, afterRevoking(id))
}

func afterRevoking(id string) string { return tokensPath + "?revoked=" + url.QueryEscape(id) }

type usageView struct {
	Facts []fact
	Uses  []useRow
	Pages pageLinks
}

type useRow struct {
	At           time.Time
	Method, Path string
	Status       int
	RequestID    string
}

func (h *Handler) serveUsagePage(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	t, err := h.ownToken(r, as)
	if err != nil {
		return err
	}
	// The first page that is read says how many there are.
	number := askedPage(r)
	address := func(page int) string { return tokenPath(t.ID) + "/usage?page=" + strconv.Itoa(page) }
	h.Flush(r.Context())
	uses, total, err := h.Tokens.UsesOf(r.Context(), as.UserID, t.ID, number, exchange.PageSize)
	if err != nil {
		return err
	}
	view := usageView{Facts: facts(t, h.Gateway.Now()), Pages: newPageLinks(number, total, exchange.PageSize, address)}
	if view.Pages.Number != number {
		if uses, _, err = h.Tokens.UsesOf(r.Context(), as.UserID, t.ID, view.Pages.Number, exchange.PageSize); err != nil {
			return err
		}
	}
	for _, u := range uses {
		view.Uses = append(view.Uses, useRow{At: u.At, Method: u.Method, Path: u.Path, Status: u.Status, RequestID: u.RequestID})
	}
	return h.show(w, as, webPage{template: "usage", status: http.StatusOK, title: "Usage of a token", wide: true, data: view})
}

// madeWith returns the live ones among tokens that were made with id, directly or not.
func madeWith(tokens []domain.Token, id string, now time.Time) []domain.Token {
	children := map[string][]domain.Token{}
	for _, t := range tokens {
		if t.ParentID != "" {
			children[t.ParentID] = append(children[t.ParentID], t)
		}
	}
	var live []domain.Token
	for queue := children[id]; len(queue) > 0; queue = queue[1:] {
		t := queue[0]
		queue = append(queue, children[t.ID]...)
		if state := t.State(now); state == domain.StateActive || state == domain.StateNotYetValid {
			live = append(live, t)
		}
	}
	return live
}

// tokenLines holds the parent and the live descendants of each token.
type tokenLines struct {
	byID map[string]domain.Token
	live map[string]int
}

func newTokenLines(tokens []domain.Token, now time.Time) tokenLines {
	lines := tokenLines{byID: map[string]domain.Token{}, live: map[string]int{}}
	for _, t := range tokens {
		lines.byID[t.ID] = t
	}
	for _, t := range tokens {
		if state := t.State(now); state != domain.StateActive && state != domain.StateNotYetValid {
			continue
		}
		for parent := t.ParentID; parent != ""; parent = lines.byID[parent].ParentID {
			lines.live[parent]++
		}
	}
	return lines
}

func (l tokenLines) describe(row *tokenRow, t domain.Token) {
	if parent, known := l.byID[t.ParentID]; known {
		row.Parent, row.ParentRevoked = parent.Name, parent.RevokedAt != nil
	}
	row.LiveMade = l.live[t.ID]
}
