package journal_test

import (
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestA33_JournalOfAnEndedProcessIsWorkedOff(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	before := f.journal(true)
	end := inAMonth()

	// Each token is left in another state; its name says which.
	f.left(before, caller, "not made", end)
	withoutID := f.api.Token(t, grace, "without an id", end)
	f.left(before, caller, "without an id", end)
	withID := f.api.Token(t, grace, "with an id", end)
	if err := f.left(before, caller, "with an id", end).Made(withID.ID); err != nil {
		t.Fatal(err)
	}
	delivered := f.api.Token(t, grace, "delivered", end)
	entry := f.left(before, caller, "delivered", end)
	if err := entry.Made(delivered.ID); err != nil {
		t.Fatal(err)
	}
	if err := entry.Done(); err != nil {
		t.Fatal(err)
	}
	revoked := f.api.Token(t, grace, "revoked", end)
	if err := f.api.As(t, f.pat).RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.left(before, caller, "revoked", end).Made(revoked.ID); err != nil {
		t.Fatal(err)
	}
	f.die()

	after := f.journal(true)
	found := f.recover(after, caller)
	mustFind(t, found, tokens.RecoveredNotMade, tokens.RecoveredRevoked, tokens.RecoveredRevoked, tokens.RecoveredGone)
	if found[0].Name != "not made" || found[1].TokenID != withoutID.ID || found[2].TokenID != withID.ID || found[3].TokenID != revoked.ID {
		t.Errorf("found %+v", found)
	}
	f.mustBeRevoked(withoutID.ID, true)
	f.mustBeRevoked(withID.ID, true)
	f.mustBeRevoked(delivered.ID, false)
	if files := f.files(); len(files) != 0 {
		t.Errorf("left are %v", files)
	}
	mustFind(t, f.recover(after, caller))
}

func (f *journalFixture) listedByName(name string) string {
	f.t.Helper()
	tokens, err := f.api.As(f.t, f.pat).ListTokens(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, token := range tokens {
		if token.Name == name {
			return token.ID
		}
	}
	f.t.Fatalf("there is no token named %s", name)
	return ""
}

// Without an id, only a token that can be no other is revoked.
func TestJournalLeavesToAPersonWhatItCannotTellForSure(t *testing.T) {
	end := inAMonth()
	other, farNearer := end.Add(time.Hour), end.Add(-25*time.Hour)
	for name, c := range map[string]struct {
		make func(f *journalFixture) (kept []string)
		want []tokens.RecoveryOutcome
	}{
		"two of the same name and end": {func(f *journalFixture) []string {
			return []string{f.api.Token(f.t, grace, "x", end).ID, f.api.Token(f.t, grace, "x", end).ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredUnclear, tokens.RecoveredUnclear}},
		"another name": {func(f *journalFixture) []string {
			return []string{f.api.Token(f.t, grace, "y", end).ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredNotMade}},
		"another end": {func(f *journalFixture) []string {
			return []string{f.api.Token(f.t, grace, "x", &other).ID, f.api.Token(f.t, grace, "x", nil).ID, f.api.Token(f.t, grace, "x", &farNearer).ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredUnclear, tokens.RecoveredUnclear, tokens.RecoveredUnclear}},
		"another end, made long after": {func(f *journalFixture) []string {
			f.api.Shift(10 * time.Minute)
			defer f.api.Shift(0)
			return []string{f.api.Token(f.t, grace, "x", &other).ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredNotMade}},
		"used": {func(f *journalFixture) []string {
			token := f.api.Token(f.t, grace, "x", end)
			f.use(token)
			return []string{token.ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredNotMade}},
		"made long before": {func(f *journalFixture) []string {
			f.api.Shift(-10 * time.Minute)
			defer f.api.Shift(0)
			return []string{f.api.Token(f.t, grace, "x", end).ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredNotMade}},
		"made long after": {func(f *journalFixture) []string {
			f.api.Shift(10 * time.Minute)
			defer f.api.Shift(0)
			return []string{f.api.Token(f.t, grace, "x", end).ID}
		}, []tokens.RecoveryOutcome{tokens.RecoveredUnclear}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newJournalFixture(t)
			caller := f.caller(f.pat)
			f.left(f.journal(true), caller, "x", end)
			kept := c.make(f)
			f.die()
			mustFind(t, f.recover(f.journal(true), caller), c.want...)
			for _, id := range kept {
				f.mustBeRevoked(id, false)
			}
			// What is unclear is told again, until it is clear.
			stays := c.want[0] == tokens.RecoveredUnclear
			if files := f.files(); (len(files) == 1) != stays {
				t.Errorf("left are %v", files)
			}
			if !stays {
				return
			}
			mustFind(t, f.recover(f.journal(true), caller), c.want...)
			for _, id := range kept {
				if err := f.api.As(t, f.pat).RevokeToken(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			mustFind(t, f.recover(f.journal(true), caller), tokens.RecoveredNotMade)
			if files := f.files(); len(files) != 0 {
				t.Errorf("left are %v", files)
			}
		})
	}
}

func TestJournalOfALostAnswer(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	before := f.journal(true)
	end := inAMonth()
	exact := f.api.Token(t, grace, "exact", end)
	if err := f.left(before, caller, "exact", end).MayHaveMade([]string{exact.ID}); err != nil {
		t.Fatal(err)
	}
	// The API gave it another end: it may be somebody else's.
	strange := f.api.Token(t, grace, "strange", nil)
	if err := f.left(before, caller, "strange", end).MayHaveMade([]string{strange.ID}); err != nil {
		t.Fatal(err)
	}
	f.die()
	found := f.recover(f.journal(true), caller)
	mustFind(t, found, tokens.RecoveredRevoked, tokens.RecoveredUnclear)
	if found[1].TokenID != strange.ID {
		t.Errorf("the unclear one is %+v", found[1])
	}
	f.mustBeRevoked(exact.ID, true)
	f.mustBeRevoked(strange.ID, false)
}

func TestJournalKeepsWhatTheAPICannotBeAskedAbout(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	token := f.api.Token(t, grace, "left", nil)
	if err := f.left(f.journal(true), caller, "left", nil).Made(token.ID); err != nil {
		t.Fatal(err)
	}
	f.die()
	gone := f.caller("kbn_pat_" + strings.Repeat("0", 16)) // a token that the API does not know
	after := f.journal(true)
	if found, err := after.Recover(t.Context(), gone); err == nil || len(found) != 0 {
		t.Errorf("found %+v without an API to ask, %v", found, err)
	}
	f.mustBeRevoked(token.ID, false)
	mustFind(t, f.recover(after, caller), tokens.RecoveredRevoked)
}

func TestJournalForgetsWhatHasExpired(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	past := time.Now().Add(-time.Hour)
	f.left(f.journal(true), caller, "old", &past)
	f.die()
	mustFind(t, f.recover(f.journal(true), caller), tokens.RecoveredGone)
	if files := f.files(); len(files) != 0 {
		t.Errorf("left are %v", files)
	}
}

// The API may write a name in another normal form, round an expiry down, or give a
// later one. What it made is found all the same.
func TestP26_P22_JournalFindsWhatTheAPIMadeOtherwise(t *testing.T) {
	end := inAMonth()
	for name, c := range map[string]struct {
		token func(f *journalFixture) string
		end   *time.Time
		want  tokens.RecoveryOutcome
	}{
		"the name in NFC": {func(f *journalFixture) string { return f.api.Token(f.t, grace, "Gr\u00f6\u00dfe", end).ID }, end, tokens.RecoveredRevoked},
		"a day that begins": {func(f *journalFixture) string {
			return f.api.Token(f.t, grace, "Gro\u0308\u00dfe", new(end.Truncate(24*time.Hour))).ID
		}, end, tokens.RecoveredRevoked},
		"a day that ends": {func(f *journalFixture) string {
			return f.api.Token(f.t, grace, "Gro\u0308\u00dfe", new(end.Truncate(24*time.Hour).Add(24*time.Hour-time.Second))).ID
		}, end, tokens.RecoveredUnclear},
		"no end at all": {func(f *journalFixture) string { return f.api.Token(f.t, grace, "Gro\u0308\u00dfe", nil).ID }, end, tokens.RecoveredUnclear},
		// It would be gone if it had the end that was asked for.
		"a later end, past the one asked for": {func(f *journalFixture) string { return f.api.Token(f.t, grace, "Gro\u0308\u00dfe", end).ID }, new(time.Now().Add(-time.Hour)), tokens.RecoveredUnclear},
	} {
		for _, known := range []bool{false, true} {
			f := newJournalFixture(t)
			caller := f.caller(f.pat)
			entry := f.left(f.journal(true), caller, "Gro\u0308\u00dfe", c.end)
			id := c.token(f)
			want := c.want
			if known {
				if err := entry.Made(id); err != nil {
					t.Fatal(err)
				}
				want = tokens.RecoveredRevoked // it can be no other
			}
			f.die()
			found := f.recover(f.journal(true), caller)
			if len(found) != 1 || found[0].Outcome != want || found[0].TokenID != id {
				t.Errorf("%s, id known: %t: found %+v, want %s of %s", name, known, found, want, id)
			}
			f.mustBeRevoked(id, want == tokens.RecoveredRevoked)
		}
	}
}

func TestR1_JournalHoldsNoSecret(t *testing.T) {
	f := newJournalFixture(t)
	j := f.journal(false)
	token := f.api.Token(t, grace, "import", nil)
	if err := f.left(j, f.caller(f.pat), "import", nil).Made(token.ID); err != nil {
		t.Fatal(err)
	}
	searched := 0
	for _, name := range entriesOf(t, f.dir) {
		content, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		searched += len(content)
		for _, secret := range []string{f.pat, token.Value} {
			// The first 16 characters are public, and not noted either.
			if strings.Contains(string(content), secret[16:]) || strings.Contains(string(content), secret[:16]) {
				t.Errorf("%s holds a token or a part of one", name)
			}
		}
	}
	if searched < 100 {
		t.Errorf("%d bytes were searched: nothing was tried", searched)
	}
}

// A crash in the middle of writing leaves a line without its end.
func TestJournalReadsWhatACrashCutShort(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	token := f.api.Token(t, grace, "x", nil)
	if err := f.left(f.journal(true), caller, "x", nil).Made(token.ID); err != nil {
		t.Fatal(err)
	}
	f.die()
	path := filepath.Join(f.dir, f.files()[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if cut == len(lines[0])+len(lines[1]) {
			break // whole; the last round revokes it below
		}
		if cut < len(lines[0])-1 { // the beginning is not on the disk: nothing was made yet
			mustFind(t, f.recover(f.journal(true), caller))
			f.mustBeRevoked(token.ID, false)
		}
	}
	for _, garbage := range []string{"\x00\x00\x00", "{", "[]\n", strings.Repeat("x", 1<<16)} {
		if err := os.WriteFile(path, append([]byte(garbage+"\n"), append(whole, garbage...)...), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := f.recover(f.journal(true), caller); len(found) != 1 {
			t.Errorf("between %.8q it found %+v", garbage, found)
		}
	}
	f.mustBeRevoked(token.ID, true)
}

func TestJournalIsWorkedOffOnce(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	before := f.journal(true)
	const left = 20
	for range left {
		token := f.api.Token(t, grace, "x", nil)
		if err := f.left(before, caller, "x", nil).Made(token.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.die()
	var mu sync.Mutex
	var found []tokens.Recovered
	var processes sync.WaitGroup
	for range 8 {
		j := f.journal(true)
		processes.Go(func() {
			got, err := j.Recover(t.Context(), caller)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, got...)
		})
	}
	processes.Wait()
	if len(found) != left {
		t.Errorf("%d were found, want %d", len(found), left)
	}
}

func TestJournalDoesNotGrow(t *testing.T) {
	f := newJournalFixture(t)
	caller := f.caller(f.pat)
	j := f.journal(true)
	waiting := f.left(j, caller, "waiting", nil)
	for range 40 {
		if err := f.left(j, caller, strings.Repeat("x", 100_000), nil).Done(); err != nil {
			t.Fatal(err)
		}
	}
	if err := waiting.Done(); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, name := range f.files() {
		info, err := os.Stat(filepath.Join(f.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if files := f.files(); len(files) > 1 || size > 3<<20 {
		t.Errorf("%d files of %d bytes after everything was done", len(files), size)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if files := f.files(); len(files) != 0 {
		t.Errorf("left are %v", files)
	}
}

func TestJournalWithoutAFolderDoesNothing(t *testing.T) {
	f := newJournalFixture(t)
	mustFind(t, f.recover(f.journal(true), f.caller(f.pat)))
	if _, err := os.Lstat(f.dir); err == nil {
		t.Error("looking made the folder")
	}
	if err := f.journal(true).Close(); err != nil {
		t.Error(err)
	}
}
