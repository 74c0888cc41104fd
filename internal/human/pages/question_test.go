//go:build unix

package pages

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/approval"
)

var _ approval.Method = (*Person)(nil)

func aQuestion() approval.Question {
	return approval.Question{
		Title: "Revoke this kenbun token?",
		Facts: []approval.Fact{
			{Label: "Name", Value: "Nightly import - build server"},
			{Label: "Begins with", Value: "kbn_pat_3f9a1c07"},
			{Label: "Created", Value: "8 months ago"},
			{Label: "Last used", Value: "never"},
			{Label: "Expires", Value: "never"},
		},
		Consequence: "Whatever uses it loses access at once. This cannot be undone.",
		Agree:       "Revoke kbn_pat_3f9a1c07 for good",
		Unchanged:   "the token was not revoked",
	}
}

// asked is a question that waits for its answer.
type asked struct {
	address string
	end     <-chan error
}

func (h *house) ask(ctx context.Context, t *testing.T, limit time.Duration) asked {
	t.Helper()
	end := make(chan error, 1)
	go func() { end <- NewPerson(h.Server).Decide(ctx, aQuestion(), limit) }()
	return asked{h.address(t), end}
}

func (a asked) mustWait(t *testing.T) {
	t.Helper()
	select {
	case err := <-a.end:
		t.Fatalf("it is decided: %v", err)
	default:
	}
}

func TestR37_OnlyAClickOnAgreeIsAYes(t *testing.T) {
	h := newHouse(t)
	a := h.ask(t.Context(), t, atLeisure)
	got := get(t, a.address)
	for _, fact := range aQuestion().Facts {
		if !strings.Contains(got.body, `<th scope="row">`+fact.Label+"</th><td><bdi>"+fact.Value+"</bdi></td>") {
			t.Errorf("the page does not tell %v", fact)
		}
	}
	for _, want := range []string{aQuestion().Title, aQuestion().Consequence, aQuestion().Agree, "No, leave it"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page does not tell %q", want)
		}
	}
	if strings.Contains(got.body, "autofocus") {
		t.Error("something on the page has the focus from the start")
	}
	for _, choice := range []string{"", "yes", "Agree", "agree ", "true"} {
		if got := post(t, a.address, formOf(t, a.address, "choice", choice)); got.status != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", choice, got.status)
		}
	}
	if got := post(t, a.address, formOf(t, a.address)); got.status != http.StatusBadRequest {
		t.Errorf("no choice: %d, want 400", got.status)
	}
	mustBeNothing(t, get(t, a.address+"?choice=agree"))
	a.mustWait(t)
	if got := post(t, a.address, formOf(t, a.address, "choice", "agree")); got.status != http.StatusOK || !strings.Contains(got.body, "You agreed") {
		t.Errorf("the click is answered with %d %s", got.status, got.body)
	}
	if err := mustReceive(t, a.end); err != nil {
		t.Errorf("a yes is %v", err)
	}
}

func TestR37_EverythingElseIsNoYes(t *testing.T) {
	h := newHouse(t)
	t.Run("no", func(t *testing.T) {
		a := h.ask(t.Context(), t, atLeisure)
		form := formOf(t, a.address, "choice", "leave")
		if got := post(t, a.address, form); !strings.Contains(got.body, "You said no") || !strings.Contains(got.body, "the token was not revoked") {
			t.Errorf("the page says %d %s", got.status, got.body)
		}
		if err := mustReceive(t, a.end); !errors.Is(err, approval.ErrDeclined) {
			t.Errorf("Decide returned %v", err)
		}
		form.Set("choice", "agree")
		mustBeNothing(t, post(t, a.address, form))
	})
	t.Run("too late", func(t *testing.T) {
		a := h.ask(t.Context(), t, atLeisure)
		h.runOut(t, a.address)
		if err := mustReceive(t, a.end); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Decide returned %v", err)
		}
		mustBeNothing(t, get(t, a.address))
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := h.ask(ctx, t, atLeisure)
		form := formOf(t, a.address, "choice", "agree")
		cancel()
		if err := mustReceive(t, a.end); !errors.Is(err, context.Canceled) {
			t.Errorf("Decide returned %v", err)
		}
		mustBeWithdrawn(t, post(t, a.address, form))
	})
	t.Run("no browser", func(t *testing.T) {
		if err := NewPerson(New(nil, nil)).Decide(t.Context(), aQuestion(), atLeisure); !errors.Is(err, approval.ErrUnreachable) {
			t.Errorf("Decide returned %v", err)
		}
	})
	t.Run("a browser that fails", func(t *testing.T) {
		pages := New(&Browser{argv: []string{"/bin/sh", "-c", "exit 3"}, environment: []string{}, folder: t.TempDir()}, nil)
		if err := NewPerson(pages).Decide(t.Context(), aQuestion(), time.Minute); !errors.Is(err, approval.ErrUnreachable) {
			t.Errorf("Decide returned %v", err)
		}
		if err := pages.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("the program ends", func(t *testing.T) {
		a := h.ask(t.Context(), t, atLeisure)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err := mustReceive(t, a.end); !errors.Is(err, approval.ErrUnreachable) {
			t.Errorf("Decide returned %v", err)
		}
		if err := NewPerson(h.Server).Decide(t.Context(), aQuestion(), atLeisure); !errors.Is(err, approval.ErrUnreachable) {
			t.Errorf("Decide returned %v afterwards", err)
		}
	})
}

func TestR38_AQuestionIsDecidedOnce(t *testing.T) {
	h := newHouse(t)
	a := h.ask(t.Context(), t, atLeisure)
	form := formOf(t, a.address)
	answers := make(chan string, 40)
	var all sync.WaitGroup
	for i := range cap(answers) {
		choice := []string{"agree", "leave"}[i%2]
		all.Go(func() {
			got, err := trySend(t, http.MethodPost, a.address, map[string][]string{"csrf": form["csrf"], "choice": {choice}}, asBrowser)
			if err != nil {
				t.Error(err)
			}
			switch {
			case strings.Contains(got.body, "You agreed"), strings.Contains(got.body, "You said no"):
				answers <- choice
			default:
				mustBeNothing(t, got)
			}
		})
	}
	all.Wait()
	close(answers)
	var decided []string
	for choice := range answers {
		decided = append(decided, choice)
	}
	if len(decided) != 1 {
		t.Fatalf("it was decided %d times: %v", len(decided), decided)
	}
	err := mustReceive(t, a.end)
	if (decided[0] == "agree") != (err == nil) || decided[0] == "leave" && !errors.Is(err, approval.ErrDeclined) {
		t.Errorf("the page said %q, and Decide %v", decided[0], err)
	}
}

func TestQuestionsShareOneTab(t *testing.T) {
	h := newHouse(t)
	person := NewPerson(h.Server)
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
