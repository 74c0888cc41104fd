package human_test

import (
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/human"
	"github.com/kenbun/kenbun-mcp/tools"
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

	// A new token is tried by the program itself before it is delivered; that
	// does not make it one that somebody holds.
	mustFind(t, f.recover(f.journal(true), caller), tools.RecoveredInUse, tools.RecoveredRevoked)
	f.mustBeRevoked(used.ID, false)
	f.mustBeRevoked(tried.ID, true)
}

func TestJournalNeverRevokesTheTokenInUse(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	own := f.listedByName("first")
	if err := f.left(f.journal(true), caller, "first", nil).Made(own); err != nil {
		t.Fatal(err)
	}
	f.die()
	mustFind(t, f.recover(f.journal(true), caller), tools.RecoveredInUse)
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
	tokens, err := f.api.As(t, alan).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range tokens {
		if listed.ID == his.ID && listed.RevokedAt != nil {
			t.Error("somebody else's token was revoked")
		}
	}
	f.mustBeRevoked(token.ID, false)
	mustFind(t, f.recover(after, f.caller(f.pat)), tools.RecoveredRevoked)

	// Another API's entries are not looked at.
	f.left(f.journal(false), f.caller(f.pat), "import", nil)
	f.die()
	elsewhere, err := human.NewJournal(human.JournalConfig{Dir: f.dir, API: "https://elsewhere.example"})
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
	mustFind(t, f.recover(f.journal(true), f.caller(f.pat)), tools.RecoveredRevoked, tools.RecoveredNotMade)
	f.mustBeRevoked(left.ID, true)
}
