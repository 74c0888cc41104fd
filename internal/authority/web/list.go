package web

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"

	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

const (
	// staleAfter is when an unused token is marked.
	staleAfter = 90 * 24 * time.Hour
	// endingWithin is how long before its expiry a token is marked.
	endingWithin = 7 * 24 * time.Hour

	tokensPerPage = 50
)

// anyState is the filter that all tokens pass.
const anyState domain.State = "all"

var stateLabels = map[domain.State]string{
	domain.StateActive: "Active", domain.StateNotYetValid: "Not yet valid", domain.StateExpired: "Expired", domain.StateRevoked: "Revoked", anyState: "All",
}

// tokensView is the table and what is around it.
type tokensView struct {
	State  domain.State
	Query  string
	States []stateLink
	Rows   []tokenRow
	None   string // why there are no rows
	Done   *done  // what was done on the page before
	Pages  pageLinks
}

// done is the result of a form.
type done struct{ Name, What string }

type stateLink struct {
	Label   string
	Count   int
	Address string
	Current bool
}

type tokenRow struct {
	ID, Name, Prefix, Address string
	State                     domain.State
	StateLabel                string
	Narrowed                  bool
	Permissions               []string
	Created                   time.Time
	LastUsed, ValidFrom       *time.Time
	Expires, Revoked          *time.Time
	Stale, Ending             string // what stands out, in words
	Parent                    string // the name of the token that it was made with
	ParentRevoked             bool
	LiveMade                  int // how many tokens that were made with it are alive
}

func newTokenRow(t domain.Token, now time.Time) tokenRow {
	state := t.State(now)
	row := tokenRow{
		ID: t.ID, Name: t.Name, Prefix: t.Prefix, Address: tokenPath(t.ID), State: state, StateLabel: stateLabels[state],
		Narrowed: t.Permissions != nil, Permissions: t.Permissions.Names(),
		Created: t.CreatedAt, LastUsed: t.LastUsedAt, ValidFrom: t.ValidFrom, Expires: t.ExpiresAt, Revoked: t.RevokedAt,
	}
	if state == domain.StateActive {
		row.Stale = staleness(t, now)
	}
	if state == domain.StateActive || state == domain.StateNotYetValid {
		row.Ending = ending(t, now)
	}
	return row
}

func staleness(t domain.Token, now time.Time) string {
	if t.LastUsedAt == nil {
		return "never used"
	}
	if unused := now.Sub(*t.LastUsedAt); unused >= staleAfter {
		return fmt.Sprintf("not used for %d days", int(unused.Hours()/24))
	}
	return ""
}

func ending(t domain.Token, now time.Time) string {
	if t.ExpiresAt == nil || t.ExpiresAt.Sub(now) > endingWithin {
		return ""
	}
	if days := math.Ceil(t.ExpiresAt.Sub(now).Hours() / 24); days > 1 {
		return fmt.Sprintf("expires in %.0f days", days)
	}
	return "expires within a day"
}

func tokenPath(id string) string { return tokensPath + "/" + url.PathEscape(id) }

func (h *Handler) serveTokensPage(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	tokens, err := h.Tokens.TokensOf(r.Context(), as.UserID)
	if err != nil {
		return err
	}
	now := h.Gateway.Now()
	query := r.URL.Query()
	view := tokensView{State: domain.State(query.Get("state")), Query: query.Get("q"), Done: doneBefore(query, tokens)}
	if stateLabels[view.State] == "" {
		view.State = domain.StateActive
	}
	counts := map[domain.State]int{}
	var rows []tokenRow
	lines := newTokenLines(tokens, now)
	for _, t := range tokens {
		if !matches(t, view.Query) {
			continue
		}
		state := t.State(now)
		counts[state]++
		counts[anyState]++
		if view.State == anyState || view.State == state {
			rows = append(rows, newTokenRow(t, now))
			lines.describe(&rows[len(rows)-1], t)
		}
	}
	for _, state := range []domain.State{domain.StateActive, domain.StateNotYetValid, domain.StateExpired, domain.StateRevoked, anyState} {
		view.States = append(view.States, stateLink{
			Label: stateLabels[state], Count: counts[state], Current: state == view.State,
			Address: tokensAddress(state, view.Query, 1),
		})
	}
	view.Pages = newPageLinks(askedPage(r), len(rows), tokensPerPage, func(page int) string { return tokensAddress(view.State, view.Query, page) })
	view.Rows = rows[view.Pages.from:view.Pages.to]
	view.None = noTokens(view, len(tokens))
	return h.show(w, as, webPage{template: "tokens", status: http.StatusOK, title: "Personal access tokens", wide: true, data: view})
}

func noTokens(view tokensView, all int) string {
	switch {
	case all == 0:
		return "You have no tokens yet."
	case view.Query != "":
		return "No token here has that in its name, prefix or id."
	default:
		return "You have no such tokens."
	}
}

// matches reports whether a text occurs in the token's name, prefix or id.
func matches(t domain.Token, text string) bool {
	text = plaintext.Fold(strings.TrimSpace(text))
	for _, known := range []string{t.Name, t.Prefix, t.ID} {
		if strings.Contains(plaintext.Fold(known), text) {
			return true
		}
	}
	return false
}

func tokensAddress(state domain.State, text string, page int) string {
	query := url.Values{}
	if state != domain.StateActive {
		query.Set("state", string(state))
	}
	if text != "" {
		query.Set("q", text)
	}
	if page > 1 {
		query.Set("page", strconv.Itoa(page))
	}
	return (&url.URL{Path: tokensPath, RawQuery: query.Encode()}).String()
}

// doneBefore returns the result of the form that led here. It trusts the tokens, not the
// address.
func doneBefore(query url.Values, tokens []domain.Token) *done {
	for _, t := range tokens {
		switch {
		case t.ID == query.Get("revoked") && t.RevokedAt != nil:
			return &done{t.Name, "is revoked. Whatever used it has lost access."}
		case t.ID == query.Get("saved") && t.RevokedAt == nil:
			return &done{t.Name, "is saved."}
		}
	}
	return nil
}

// pageLinks are the links of a paged list.
type pageLinks struct {
	Number, Count int
	Newer, Older  string // addresses, empty where there is none
	from, to      int    // which part of the list this page shows
}

// askedPage returns the page number in an address, by default 1.
func askedPage(r *http.Request) int {
	number, err := strconv.ParseUint(r.URL.Query().Get("page"), 10, 31)
	if err != nil || number < 1 || number > exchange.MaxPage {
		return 1
	}
	return int(number)
}

// newPageLinks shows the page that was asked for, or the last one before it.
func newPageLinks(asked, length, perPage int, address func(page int) string) pageLinks {
	links := pageLinks{Count: max(1, (length+perPage-1)/perPage)}
	links.Number = min(asked, links.Count)
	links.from = (links.Number - 1) * perPage
	links.to = min(links.from+perPage, length)
	if links.Number > 1 {
		links.Newer = address(links.Number - 1)
	}
	if links.Number < links.Count {
		links.Older = address(links.Number + 1)
	}
	return links
}

// findToken returns a token of the user's, or [domain.ErrTokenNotFound].
func findToken(tokens []domain.Token, id string) (domain.Token, error) {
	for _, t := range tokens {
		if t.ID == id {
			return t, nil
		}
	}
	return domain.Token{}, domain.ErrTokenNotFound
}
