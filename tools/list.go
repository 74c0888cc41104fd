package tools

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Page collects one page of a sorted list while the list is read. It keeps at most
// twice as many items as the page has, however long the list is.
type Page[T any] struct {
	// Matches picks the items.
	Matches func(T) bool
	// Compare sorts them.
	Compare func(a, b T) int
	// Group names what an item is counted under.
	Group func(T) string
	// After is the last item of the page before. Nil: this is the first page.
	After *T
	// Limit is how many items the page has at most.
	Limit int

	// Matching counts the items that match, on all pages.
	Matching int
	// Counts has all items by group.
	Counts map[string]int

	// kept has the first items so far, and up to as many again that are not sorted yet.
	kept []T
	// left counts the items after those that were kept.
	left int
}

// Begin empties the page and returns the function that adds an item. A list that breaks
// off is read again from its beginning.
func (p *Page[T]) Begin() func(T) {
	p.Matching, p.Counts, p.kept, p.left = 0, map[string]int{}, nil, 0
	return p.add
}

func (p *Page[T]) add(item T) {
	p.Counts[p.Group(item)]++
	if !p.Matches(item) {
		return
	}
	p.Matching++
	if p.After != nil && p.Compare(item, *p.After) <= 0 {
		return
	}
	p.kept = append(p.kept, item)
	if len(p.kept) >= 2*p.Limit {
		p.trim()
	}
}

// trim drops what is beyond the page.
func (p *Page[T]) trim() {
	slices.SortFunc(p.kept, p.Compare)
	if beyond := len(p.kept) - p.Limit; beyond > 0 {
		p.left += beyond
		clear(p.kept[p.Limit:])
		p.kept = p.kept[:p.Limit]
	}
}

// Items returns the page, and how many items come after it.
func (p *Page[T]) Items() (page []T, left int) {
	p.trim()
	return p.kept, p.left
}

// Total is how many items there are, including those that do not match.
func (p *Page[T]) Total() int { return total(p.Counts) }

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// PageParameters are the arguments "limit" and "cursor" of a tool that lists.
func PageParameters(most, usual int) []Parameter {
	return []Parameter{
		{Name: "limit", Kind: Integer, Min: 1, Max: most, Default: usual,
			Description: "The maximum number of rows."},
		{Name: "cursor", Kind: Text, MaxLength: 500,
			Description: "next_cursor of the previous answer, to continue the list. Keep the other arguments the same."},
	}
}

// cursor identifies the last item of a page, and the filter. It is not a secret and
// gives no rights: each page is read with the caller's own token.
type cursor[P any] struct {
	After  P      `json:"a"`
	Filter string `json:"f"`
}

// Cursor returns the cursor for the items after position, in the list with filter.
func Cursor[P comparable](position P, filter any) string {
	return base64.RawURLEncoding.EncodeToString(MustMarshal(cursor[P]{position, Digest(MustMarshal(filter))[:8]}))
}

// Position returns the position in the argument "cursor" of a list with filter, nil if
// there is none.
func Position[P comparable](c Arguments, tool string, filter any) (*P, error) {
	s := c.Text("cursor")
	if s == "" {
		return nil, nil
	}
	var at cursor[P]
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(data, &at)
	}
	var none P
	// Decoding ignores line breaks, loose bits and unknown members.
	if err != nil || at.After == none || base64.RawURLEncoding.EncodeToString(MustMarshal(at)) != s {
		return nil, InvalidArgument(`"cursor" is not one that %s gave`, tool).
			Advise("Use next_cursor of an answer, unchanged, or leave it out to start over.")
	}
	if at.Filter != Digest(MustMarshal(filter))[:8] {
		return nil, InvalidArgument(`"cursor" belongs to a list with other arguments`).
			Advise("Repeat the arguments of the call that returned it, or leave it out to start over.")
	}
	return &at.After, nil
}

// Listing is the answer of a tool that lists: one page of rows, once for programs and
// once as a table. Both halves hold the same facts.
type Listing[R any] struct {
	// Noun says what the rows are, such as "tokens". It names them in the structured
	// answer.
	Noun string
	Rows []R
	// Matching is how many rows there are on all pages.
	Matching int
	// Counts has everything that could be listed by group, and Groups is the order of
	// the groups in the table.
	Counts map[string]int
	Groups []string
	// NextCursor leads to the next page. Empty: this is the last.
	NextCursor string
	Warnings   []string
	// Columns are those of the table.
	Columns []Column[R]
	// Notes, if set, returns what follows the columns of a row.
	Notes func(R) []string
}

// Column is one column of a table.
type Column[R any] struct {
	Title string
	Value func(R) string
}

// ListSchema is the schema of the structured answer. rows is that of a row.
func ListSchema(noun, rows, ofMatching, ofCounts string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"type":"object","properties":{`+
		`%q:{"type":"array","items":%s},`+
		`"matching":{"type":"integer","description":%q},`+
		`"counts":{"type":"object","description":%q,"additionalProperties":{"type":"integer"}},`+
		`"next_cursor":{"type":"string","description":"Present when there is more."},`+
		`"warnings":{"type":"array","items":{"type":"string"}}`+
		`},"required":[%q,"matching","counts"]}`, noun, rows, ofMatching, ofCounts, noun))
}

// Result is the answer.
func (l *Listing[R]) Result() *Result { return &Result{Structured: l, Text: l.text()} }

// MarshalJSON implements [json.Marshaler].
func (l *Listing[R]) MarshalJSON() ([]byte, error) {
	rows, err := json.Marshal(append([]R{}, l.Rows...))
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(struct {
		Matching   int            `json:"matching"`
		Counts     map[string]int `json:"counts"`
		NextCursor string         `json:"next_cursor,omitempty"`
		Warnings   []string       `json:"warnings,omitempty"`
	}{l.Matching, l.Counts, l.NextCursor, l.Warnings})
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte("{"), MustMarshal(l.Noun), []byte(":"), rows, []byte(","), rest[1:]), nil
}

// text is a table in as few bytes as can still be read.
func (l *Listing[R]) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d %s", l.Matching, total(l.Counts), l.Noun)
	for _, group := range l.Groups {
		if n := l.Counts[group]; n > 0 {
			fmt.Fprintf(&b, ", %s %d", group, n)
		}
	}
	if len(l.Rows) == 0 {
		b.WriteString(". None to show.")
	}
	for i, row := range l.Rows {
		var cells []string
		if i == 0 {
			for _, column := range l.Columns {
				cells = append(cells, column.Title)
			}
			b.WriteString("\n" + strings.Join(cells, " | "))
			cells = nil
		}
		for _, column := range l.Columns {
			cells = append(cells, Cell(column.Value(row)))
		}
		if l.Notes != nil {
			for _, note := range l.Notes(row) {
				cells = append(cells, Cell(note))
			}
		}
		b.WriteString("\n" + strings.Join(cells, " | "))
	}
	if l.NextCursor != "" {
		b.WriteString("\nMore with cursor " + l.NextCursor)
	}
	for _, warning := range l.Warnings {
		b.WriteString("\nwarning: " + warning)
	}
	return b.String()
}
