package journal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/human/journal"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

const grace = "grace@example.test"

// journalFixture is a journal's folder and the API whose tokens are noted.
type journalFixture struct {
	t   *testing.T
	api *kenbuntest.API
	pat string
	dir string
}

func newJournalFixture(t *testing.T) *journalFixture {
	t.Helper()
	f := &journalFixture{t: t, api: kenbuntest.Start(t), dir: filepath.Join(t.TempDir(), "journal")}
	f.pat = f.api.User(t, grace, authority.RoleMember)
	return f
}

// journal is that of one process.
func (f *journalFixture) journal(oneUser bool) *journal.Journal {
	f.t.Helper()
	j, err := journal.New(journal.Config{Dir: f.dir, API: f.api.URL, OneUser: oneUser})
	if err != nil {
		f.t.Fatal(err)
	}
	return j
}

func (f *journalFixture) caller(pat string) tools.Caller {
	secret := client.NewSecret(pat)
	return tools.Caller{API: f.api.As(f.t, pat), ID: secret.Prefix(), TokenPrefix: secret.Prefix()}
}

// left notes a token as a process would that then ended, and returns its entry.
func (f *journalFixture) left(j *journal.Journal, caller tools.Caller, name string, expires *time.Time) tokens.JournalEntry {
	f.t.Helper()
	entry, err := j.Begin(f.t.Context(), caller, tokens.Intent{Name: name, ExpiresAt: expires, BeganAt: time.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
	return entry
}

// die lets go of the lock of everything that was noted so far, as the end of a
// process does: what is in the folder now is copied to new files of the same
// names, on which nobody holds a lock.
func (f *journalFixture) die() {
	f.t.Helper()
	for _, name := range f.files() {
		path := filepath.Join(f.dir, name)
		content, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			f.t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

// files are the names of the files of processes.
func (f *journalFixture) files() []string {
	f.t.Helper()
	var names []string
	for _, name := range entriesOf(f.t, f.dir) {
		if strings.HasSuffix(name, ".journal") {
			names = append(names, name)
		}
	}
	return names
}

// recover is what the next process finds.
func (f *journalFixture) recover(j *journal.Journal, caller tools.Caller) []tokens.Recovered {
	f.t.Helper()
	found, err := j.Recover(f.t.Context(), caller)
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

// mustFind fails the test unless exactly these outcomes were found, in order.
func mustFind(t *testing.T, found []tokens.Recovered, want ...tokens.RecoveryOutcome) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("found %+v, want the outcomes %v", found, want)
	}
	for i := range found {
		if found[i].Outcome != want[i] {
			t.Errorf("found %+v, want the outcome %s", found[i], want[i])
		}
	}
}

func (f *journalFixture) listed(id string) client.Token {
	f.t.Helper()
	tokens, err := f.api.As(f.t, f.pat).ListTokens(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, token := range tokens {
		if token.ID == id {
			return token
		}
	}
	f.t.Fatalf("there is no token %s", id)
	return client.Token{}
}

// use makes a request with a token, and waits until the API has noted its use:
// no request waits for that for long.
func (f *journalFixture) use(token authority.Issued) {
	f.t.Helper()
	if _, err := f.api.As(f.t, token.Value).Me(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); f.listed(token.ID).LastUsedAt == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatal("the use of a token is not noted")
		}
	}
}

func (f *journalFixture) mustBeRevoked(id string, want bool) {
	f.t.Helper()
	if revoked := f.listed(id).RevokedAt != nil; revoked != want {
		f.t.Errorf("the token %s is revoked: %t, want %t", id, revoked, want)
	}
}

func inAMonth() *time.Time {
	at := time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	return &at
}

// entriesOf lists what is in a folder, nothing if it cannot be looked into.
func entriesOf(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "not a directory") {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
