package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// toldJournal notes what it is told, and says what it is told to say.
type toldJournal struct {
	begin     error
	recovered []tokens.Recovered
	failures  int // how often Recover fails at first

	mu    sync.Mutex
	steps []string
}

func (j *toldJournal) step(format string, values ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.steps = append(j.steps, fmt.Sprintf(format, values...))
}

func (j *toldJournal) history() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.steps, ", ")
}

func (j *toldJournal) Begin(_ context.Context, _ tools.Caller, intent tokens.Intent) (tokens.JournalEntry, error) {
	j.step("begin %s", intent.Name)
	return toldEntry{j}, j.begin
}

func (j *toldJournal) Recover(_ context.Context, caller tools.Caller) ([]tokens.Recovered, error) {
	j.step("recover %s", caller.ID)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failures > 0 {
		j.failures--
		return nil, errors.New("the API sleeps")
	}
	return j.recovered, nil
}

type toldEntry struct{ journal *toldJournal }

func (e toldEntry) Made(string) error { e.journal.step("made"); return nil }
func (e toldEntry) MayHaveMade(ids []string) error {
	e.journal.step("may have made %d", len(ids))
	return nil
}
func (e toldEntry) Done() error { e.journal.step("done"); return nil }

func withJournal(j tokens.Journal) option {
	return func(c *toolsets.Config) { c.Journal = j }
}

// after returns the journal's history without the recovery at its beginning.
func (j *toldJournal) after(t *testing.T) string {
	t.Helper()
	first, rest, _ := strings.Cut(j.history(), ", ")
	if !strings.HasPrefix(first, "recover ") {
		t.Errorf("the journal was first asked to %q", first)
	}
	return rest
}

func TestA33_JournalKnowsATokenBeforeItIsMadeAndUntilItIsHeld(t *testing.T) {
	journal := &toldJournal{}
	road := &faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
		journal.step("deliver")
		return tokens.Receipt{Method: "faulty", Note: "Look under the mat."}, nil
	}}
	f := newFixture(t, withJournal(journal), withDeliverer(road))
	f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPost {
			journal.step("mint")
		}
		pass.ServeHTTP(w, r)
	})
	f.call("create_token", createArguments("import", "1d")).ok(nil)
	if got, want := journal.after(t), "begin import, mint, made, deliver, done"; got != want {
		t.Errorf("the order was %q, want %q", got, want)
	}
}

func TestA33_JournalThatCannotBeWrittenStopsTheMakingBeforehand(t *testing.T) {
	f := newFixture(t, withJournal(&toldJournal{begin: errors.New("the diary is full: buy another")}))
	f.call("create_token", createArguments("import", "1d")).failed(tools.CodeCannotDeliver, "the diary is full", "no token was made")
	f.mustHaveNothingNew()
}

func TestA33_JournalKeepsWhatIsNotSettled(t *testing.T) {
	lostRoad := &faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
		return tokens.Receipt{}, errors.New("the dog ate it")
	}}
	for name, c := range map[string]struct {
		road   tokens.Deliverer
		handle func(w http.ResponseWriter, r *http.Request, pass http.Handler)
		want   string
	}{
		"undelivered and revoked": {lostRoad, nil, "begin x, made, done"},
		"undelivered and alive": {lostRoad, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			pass.ServeHTTP(w, r)
		}, "begin x, made"},
		"refused": {nil, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			pass.ServeHTTP(w, r)
		}, "begin x, done"},
		"lost, and found by name": {nil, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Method == http.MethodPost {
				pass.ServeHTTP(&lostAnswer{ResponseWriter: w}, r)
				panic(http.ErrAbortHandler)
			}
			pass.ServeHTTP(w, r)
		}, "begin x, done"},
		"lost for good": {nil, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			switch r.Method {
			case http.MethodPost:
				pass.ServeHTTP(&lostAnswer{ResponseWriter: w}, r)
				panic(http.ErrAbortHandler)
			case http.MethodDelete:
				w.WriteHeader(http.StatusForbidden)
			default:
				pass.ServeHTTP(w, r)
			}
		}, "begin x, may have made 1"},
	} {
		t.Run(name, func(t *testing.T) {
			journal := &toldJournal{}
			options := []option{withJournal(journal)}
			if c.road != nil {
				options = append(options, withDeliverer(c.road))
			}
			f := newFixture(t, options...)
			f.proxy.instead(c.handle)
			if f.call("create_token", createArguments("x", "1d")); journal.after(t) != c.want {
				t.Errorf("the journal was told %q, want %q", journal.after(t), c.want)
			}
		})
	}
}

// lostAnswer takes an answer that never leaves.
type lostAnswer struct{ http.ResponseWriter }

func (*lostAnswer) Header() http.Header         { return http.Header{} }
func (*lostAnswer) Write(p []byte) (int, error) { return len(p), nil }
func (*lostAnswer) WriteHeader(int)             {}

// A road on which the person comes later tells the journal itself.
func TestA33_JournalWaitsForAPersonWhoHasYetToCome(t *testing.T) {
	journal := &toldJournal{}
	var entry tokens.JournalEntry
	road := &faultyRoad{deliver: func(ctx context.Context, _ *client.CreatedToken) (tokens.Receipt, error) {
		entry = tokens.JournalEntryFrom(ctx)
		return tokens.Receipt{Method: "faulty", Note: "Come later.", Pending: true}, nil
	}}
	f := newFixture(t, withJournal(journal), withDeliverer(road))
	f.call("create_token", createArguments("x", "1d")).ok(nil)
	if got := journal.after(t); got != "begin x, made" {
		t.Errorf("before the person came the journal was told %q", got)
	}
	if err := entry.Done(); err != nil {
		t.Fatal(err)
	}
	if got := journal.after(t); got != "begin x, made, done" {
		t.Errorf("after the person came the journal was told %q", got)
	}
}

func TestWhatWasLeftBehindIsToldOnceToItsCaller(t *testing.T) {
	hostile := "x\u202e\x1b[31m kbn_pat_" + strings.Repeat("a", 20)
	for tool, structured := range map[string]any{"list_tokens": &struct{ Warnings []string }{}, "whoami": &struct{ Warnings []string }{}} {
		journal := &toldJournal{recovered: []tokens.Recovered{
			{TokenID: "pat_left-behind", Name: hostile, Outcome: tokens.RecoveredRevoked},
			{Name: "y", Outcome: tokens.RecoveredUnclear},
		}}
		f := newFixture(t, withJournal(journal))
		f.call("revoke_token", `{"id":"pat_unknown"}`) // finds it, and has no words for it
		text := f.call(tool, "{}").ok(structured).text()
		if !strings.Contains(text, "pat_left-behind") || !strings.Contains(text, "it was revoked now") || !strings.Contains(text, "cannot be told for sure") {
			t.Errorf("%s says %q", tool, text)
		}
		if strings.ContainsAny(text, "\u202e\x1b") || strings.Contains(text, strings.Repeat("a", 20)) {
			t.Errorf("%s shows what it should not: %q", tool, text)
		}
		if got := structured.(*struct{ Warnings []string }).Warnings; len(got) < 2 {
			t.Errorf("%s has the warnings %q", tool, got)
		}
		if again := f.call(tool, "{}").ok(nil).text(); strings.Contains(again, "pat_left-behind") {
			t.Errorf("%s says it twice", tool)
		}
		if got := strings.Count(journal.history(), "recover"); got != 1 {
			t.Errorf("it was looked %d times", got)
		}
	}
}

func TestWhatWasLeftBehindIsLookedForOncePerCallerAndAgainAfterAFailure(t *testing.T) {
	journal := &toldJournal{failures: 1}
	f := newFixture(t, withJournal(journal))
	f.call("whoami", "{}").ok(nil)
	f.call("whoami", "{}").ok(nil)
	if got := strings.Count(journal.history(), "recover"); got != 1 {
		t.Errorf("within a minute of a failure it was looked %d times", got)
	}
	other := f.as(f.token("other").Value)
	f.callers.set(other)
	f.call("whoami", "{}").ok(nil)
	if got := strings.Count(journal.history(), "recover"); got != 2 {
		t.Errorf("for two callers it was looked %d times", got)
	}
}
