//go:build unix

package human

import (
	"context"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestQuestionsShareOneTab(t *testing.T) {
	h := newHouse(t)
	person := NewPagePerson(h.Pages)
	ask := func(ctx context.Context, agree string) <-chan error {
		q := aQuestion()
		q.Agree = agree
		end := make(chan error, 1)
		go func() { end <- person.Decide(ctx, q, atLeisure) }()
		return end
	}
	waiting := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); h.openPages() != n; {
			if time.Now().After(deadline) {
				t.Fatalf("%d pages are open, want %d", h.openPages(), n)
			}
		}
	}
	first := ask(t.Context(), "Revoke the first")
	address := h.address(t)
	second := ask(t.Context(), "Revoke the second")
	waiting(2)
	page := get(t, address)
	path := between(t, page.body, `<a href="`, `">Revoke the second?`)
	if len(h.opened) != 0 {
		t.Error("a second tab was opened")
	}
	answer := post(t, address, formOf(t, address, "choice", "agree"))
	if !strings.Contains(answer.body, `<a href="`+path+`">`) {
		t.Errorf("the answer does not lead on to what waits: %s", answer.body)
	}
	if err := mustReceive(t, first); err != nil {
		t.Error(err)
	}
	next := address[:strings.LastIndex(address, "/")] + path
	if got := post(t, next, formOf(t, next, "choice", "agree")); got.status != http.StatusOK || strings.Contains(got.body, "Also waiting") {
		t.Errorf("the second question is answered with %d %s", got.status, got.body)
	}
	if err := mustReceive(t, second); err != nil {
		t.Error(err)
	}

	// A question that nobody answers leads nowhere: the next one opens itself.
	ctx, withdraw := context.WithCancel(t.Context())
	third := ask(ctx, "Revoke the third")
	h.address(t)
	fourth := ask(t.Context(), "Revoke the fourth")
	waiting(2)
	withdraw()
	if err := mustReceive(t, third); err == nil {
		t.Error("a withdrawn question is a yes")
	}
	address = h.address(t)
	post(t, address, formOf(t, address, "choice", "leave"))
	if err := mustReceive(t, fourth); err != approval.ErrDeclined { //nolint:errorlint // it is the very error
		t.Error(err)
	}
}

func between(t *testing.T, s, before, after string) string {
	t.Helper()
	end := strings.Index(s, after)
	if end < 0 {
		t.Fatalf("%q is not in %s", after, s)
	}
	start := strings.LastIndex(s[:end], before)
	return s[start+len(before) : end]
}
