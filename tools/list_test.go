package tools

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A page keeps no more than it has to, however long the list is.
func TestAPageIsBounded(t *testing.T) {
	for _, limit := range []int{1, 7, 200} {
		page := Page[int]{
			Limit: limit, Compare: cmp.Compare[int],
			Matches: func(n int) bool { return n%2 == 0 }, Group: func(n int) string { return fmt.Sprint(n % 2) },
		}
		take := page.Begin()
		for _, n := range rand.Perm(1000) {
			take(n)
			if len(page.kept) > 2*limit {
				t.Fatalf("a page of %d keeps %d items", limit, len(page.kept))
			}
		}
		items, left := page.Items()
		if len(items) != limit || left != 500-limit || page.Matching != 500 || page.Total() != 1000 || items[limit-1] != 2*(limit-1) {
			t.Errorf("a page of %d: %v, %d left, %d matching of %d", limit, items, left, page.Matching, page.Total())
		}
	}
}

// Both halves of the answer say the same, of any kind of row.
func TestAListIsATableAndRows(t *testing.T) {
	type lead struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	list := Listing[lead]{
		Noun: "leads", Rows: []lead{{"ld_1", "Ada | Co"}, {"ld_2", "Ben"}}, Matching: 12, Counts: map[string]int{"hot": 2, "cold": 28},
		Groups: []string{"hot", "warm", "cold"}, NextCursor: "abc", Warnings: []string{"Some are missing."},
		Columns: []Column[lead]{
			{"id", func(l lead) string { return l.ID }},
			{"name", func(l lead) string { return l.Name }},
		},
		Notes: func(l lead) []string {
			if l.ID == "ld_2" {
				return []string{"watched"}
			}
			return nil
		},
	}
	const text = "12 of 30 leads, hot 2, cold 28\nid | name\nld_1 | Ada \\| Co\nld_2 | Ben | watched\nMore with cursor abc\nwarning: Some are missing."
	result := list.Result()
	if result.Text != text {
		t.Errorf("the table is\n%s\nwant\n%s", result.Text, text)
	}
	const rows = `{"leads":[{"id":"ld_1","name":"Ada | Co"},{"id":"ld_2","name":"Ben"}],"matching":12,"counts":{"cold":28,"hot":2},"next_cursor":"abc","warnings":["Some are missing."]}`
	if got, err := json.Marshal(result.Structured); err != nil || string(got) != rows {
		t.Errorf("the rows are %s, %v, want %s", got, err, rows)
	}
	empty := Listing[lead]{Noun: "leads", Counts: map[string]int{}}
	if got, err := json.Marshal(&empty); err != nil || string(got) != `{"leads":[],"matching":0,"counts":{}}` {
		t.Errorf("an empty list is %s, %v", got, err)
	}
	if got := empty.Result().Text; got != "0 of 0 leads. None to show." {
		t.Errorf("an empty list is %q", got)
	}
}
