package tokens

import (
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// Page collects one page of a list of tokens while the list is read. It
// keeps no more tokens than the page has, however long the list is.
type Page struct {
	// Filter picks the tokens.
	Filter Filter
	// Now is the time that tokens are judged at.
	Now time.Time
	// Limit is how many tokens the page has at most.
	Limit int
	// Matching counts the tokens that pass the filter, on all pages.
	Matching int
	// Counts has all tokens by status.
	Counts map[string]int

	// after is the last token of the page before; nil for the first page.
	after *client.Token
	// kept are the best so far, and up to as many again that are not sorted out
	// yet.
	kept []*client.Token
	// left is how many tokens come after the kept ones.
	left int
}

// Begin empties the page and returns the function that takes a token in, for
// [client.Caller.ReadTokens].
func (p *Page) Begin() func(*client.Token) {
	p.Matching, p.Counts, p.kept, p.left = 0, map[string]int{}, nil, 0
	return p.add
}

func (p *Page) add(token *client.Token) {
	p.Counts[string(token.Status(p.Now))]++
	if !p.Filter.matches(token, p.Now) {
		return
	}
	p.Matching++
	if p.after != nil && compareTokens(token, p.after) <= 0 {
		return
	}
	p.kept = append(p.kept, token)
	if len(p.kept) >= 2*p.Limit {
		p.sortOut()
	}
}

// sortOut drops what is beyond the page.
func (p *Page) sortOut() {
	slices.SortFunc(p.kept, compareTokens)
	if beyond := len(p.kept) - p.Limit; beyond > 0 {
		p.left += beyond
		clear(p.kept[p.Limit:])
		p.kept = p.kept[:p.Limit]
	}
}

// Tokens returns the page, newest first, and how many tokens come after it.
func (p *Page) Tokens() (page []*client.Token, left int) {
	p.sortOut()
	return p.kept, p.left
}

// Total is how many tokens there are, those that the filter drops included.
func (p *Page) Total() int {
	total := 0
	for _, n := range p.Counts {
		total += n
	}
	return total
}
