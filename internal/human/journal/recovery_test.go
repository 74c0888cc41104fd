package journal_test

import (
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/human/journal"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func TestJournalOfALivingProcessIsLeftAlone(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	living := f.journal(true)
	token := f.api.Token(t, grace, "on its way", nil)
	entry := f.left(living, caller, "on its way", nil)
	if err := entry.Made(token.ID); err != nil {
		t.Fatal(err)
	}
	mustFind(t, f.recover(f.journal(true), caller))
	mustFind(t, f.recover(living, caller))
	f.mustBeRevoked(token.ID, false)
	if err := entry.Done(); err != nil {
		t.Fatal(err)
	}
	if err := living.Close(); err != nil {
		t.Fatal(err)
	}
	if files := f.files(); len(files) != 0 {
		t.Errorf("after the process ended there are %v", files)
	}
}

func TestJournalRevokesNoTokenThatSomebodyHolds(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	before := f.journal(true)
	note := func(name, id string) {
		t.Helper()
		if err := f.left(before, caller, name, nil).Made(id); err != nil {
			t.Fatal(err)
		}
	}
	used := f.api.Token(t, grace, "used later", nil)
	note("used later", used.ID)
	tried := f.api.Token(t, grace, "tried at once", nil)
	note("tried at once", tried.ID)
	f.use(tried)
	f.api.Shift(time.Hour)
	f.use(used)
	f.die()

	// Whoever used it, the API does not show it as never used.
	mustFind(t, f.recover(f.journal(true), caller), tokens.RecoveredInUse, tokens.RecoveredInUse)
	f.mustBeRevoked(used.ID, false)
	f.mustBeRevoked(tried.ID, false)
}

func TestJournalNeverRevokesTheTokenInUse(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	own := f.listedByName("first")
	if err := f.left(f.journal(true), caller, "first", nil).Made(own); err != nil {
		t.Fatal(err)
	}
	f.die()
	mustFind(t, f.recover(f.journal(true), caller), tokens.RecoveredInUse)
	f.mustBeRevoked(own, false)
}

func TestA27_JournalEntriesBelongToTheirCaller(t *testing.T) {
	f := newJournalFixture(t)
	alan := f.api.User(t, "alan@example.test", authority.RoleMember)
	before := f.journal(false)
	token := f.api.Token(t, grace, "import", nil)
	f.left(before, f.caller(f.pat), "import", nil)
	// Alan has made one just like it, and holds it.
	his := f.api.Token(t, "alan@example.test", "import", nil)
	f.die()
	after := f.journal(false)
	mustFind(t, f.recover(after, f.caller(alan)))
	listed, err := f.api.As(t, alan).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range listed {
		if listed.ID == his.ID && listed.RevokedAt != nil {
			t.Error("somebody else's token was revoked")
		}
	}
	f.mustBeRevoked(token.ID, false)
	mustFind(t, f.recover(after, f.caller(f.pat)), tokens.RecoveredRevoked)

	// Another API's entries are not looked at.
	f.left(f.journal(false), f.caller(f.pat), "import", nil)
	f.die()
	elsewhere, err := journal.New(journal.Config{Dir: f.dir, API: "https://elsewhere.example"})
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, f.recover(elsewhere, f.caller(f.pat)))
	if files := f.files(); len(files) != 1 {
		t.Errorf("left are %v", files)
	}
}

// One person may have two accounts: what is not seen in the list of one may be
// the other's, and is left for it.
func TestA27_JournalOfOnePersonLeavesTheOtherAccountsTokens(t *testing.T) {
	f := newJournalFixture(t)
	other := f.api.User(t, "other@example.com", authority.RoleMember)
	before := f.journal(true)
	left := f.api.Token(t, grace, "left behind", nil)
	if err := f.left(before, f.caller(f.pat), "left behind", nil).Made(left.ID); err != nil {
		t.Fatal(err)
	}
	f.left(before, f.caller(f.pat), "never made", nil)
	f.die()

	mustFind(t, f.recover(f.journal(true), f.caller(other)))
	f.mustBeRevoked(left.ID, false)
	mustFind(t, f.recover(f.journal(true), f.caller(f.pat)), tokens.RecoveredRevoked, tokens.RecoveredNotMade)
	f.mustBeRevoked(left.ID, true)
}

// An entry is acted on with the token with which it was written, and while a
// copy of its file would be of no use to anybody.
func TestA33_JournalReportsWhatItCannotVerify(t *testing.T) {
	for name, c := range map[string]struct {
		began time.Duration
		rest  func(f *journalFixture) string
		want  tokens.RecoveryOutcome
	}{
		"the token was rotated meanwhile": {0, func(f *journalFixture) string {
			return f.api.Token(f.t, grace, "successor", nil).Value
		}, tokens.RecoveredUnverified},
		"the same token":   {0, func(f *journalFixture) string { return f.pat }, tokens.RecoveredRevoked},
		"six days later":   {-6 * 24 * time.Hour, func(f *journalFixture) string { return f.pat }, tokens.RecoveredRevoked},
		"eight days later": {-8 * 24 * time.Hour, func(f *journalFixture) string { return f.pat }, tokens.RecoveredUnverified},
		"from the future":  {time.Hour, func(f *journalFixture) string { return f.pat }, tokens.RecoveredUnverified},
	} {
		t.Run(name, func(t *testing.T) {
			f := newJournalFixture(t)
			f.api.Shift(c.began)
			token := f.api.Token(t, grace, "left", nil)
			f.api.Shift(0)
			entry, err := f.journal(true).Begin(t.Context(), f.caller(f.pat), tokens.Intent{Name: "left", BeganAt: time.Now().Add(c.began)})
			if err != nil {
				t.Fatal(err)
			}
			if err := entry.Made(token.ID); err != nil {
				t.Fatal(err)
			}
			f.die()
			pat := c.rest(f)
			mustFind(t, f.recover(f.journal(true), f.caller(pat)), c.want)
			f.mustBeRevoked(token.ID, c.want == tokens.RecoveredRevoked)
		})
	}
}

// What the API says of a noted id counts, not what the file says.
func TestA33_JournalRevokesNoOtherTokenByItsID(t *testing.T) {
	for name, make := range map[string]func(f *journalFixture) string{
		"another name": func(f *journalFixture) string { return f.api.Token(f.t, grace, "other", nil).ID },
		"made long before": func(f *journalFixture) string {
			f.api.Shift(-3 * time.Minute)
			defer f.api.Shift(0)
			return f.api.Token(f.t, grace, "left", nil).ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newJournalFixture(t)
			caller := f.caller(f.pat)
			id := make(f)
			if err := f.left(f.journal(true), caller, "left", nil).Made(id); err != nil {
				t.Fatal(err)
			}
			f.die()
			mustFind(t, f.recover(f.journal(true), caller), tokens.RecoveredUnclear)
			f.mustBeRevoked(id, false)
		})
	}
}
