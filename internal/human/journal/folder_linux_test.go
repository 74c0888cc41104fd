package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func TestA33_JournalOnAFullDisk(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	f := newJournalFixture(t)
	f.dir = filepath.Join(disk, "journal")
	caller := f.caller(f.pat)
	j := f.journal(true)
	token := f.api.Token(t, grace, "delivered", nil)
	entry := f.left(j, caller, "delivered", nil)
	if err := entry.Made(token.ID); err != nil {
		t.Fatal(err)
	}
	kenbuntest.FillDisk(t, filepath.Join(disk, "ballast"))
	for _, name := range []string{"short", strings.Repeat("x", 8192)} {
		another, err := j.Begin(t.Context(), caller, tokens.Intent{Name: name, BeganAt: time.Now()})
		switch {
		case err == nil && len(name) > 4096:
			t.Error("something was begun that could not be noted")
		case err == nil: // there was room for one line more
			if err := another.Done(); err != nil {
				t.Error(err)
			}
		case !strings.Contains(err.Error(), "the disk is full"):
			t.Errorf("on a full disk: %v", err)
		}
	}
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	f.die()
	// A line that found no room has not spoilt those before it.
	for _, found := range f.recover(f.journal(true), caller) {
		if found.Name == "delivered" && found.TokenID != token.ID {
			t.Errorf("found %+v", found)
		}
	}
	f.mustBeRevoked(token.ID, true)
	if err := errors.Join(entry.Done(), j.Close()); err != nil { // the file system is to be unmounted
		t.Error(err)
	}
}

// To forget a token that was delivered must not need room: it would be revoked
// at the next start.
func TestA33_DeliveredTokenIsForgottenOnAFullDisk(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	f := newJournalFixture(t)
	f.dir = filepath.Join(disk, "journal")
	caller := f.caller(f.pat)
	token := f.api.Token(t, grace, "delivered", nil)
	j := f.journal(true)
	entry := f.left(j, caller, "delivered", nil)
	if err := entry.Made(token.ID); err != nil {
		t.Fatal(err)
	}
	kenbuntest.FillDisk(t, filepath.Join(disk, "ballast"))
	if err := entry.Done(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	f.die()
	mustFind(t, f.recover(f.journal(true), caller))
	f.mustBeRevoked(token.ID, false)
	if err := j.Close(); err != nil { // the file system is to be unmounted
		t.Error(err)
	}
}
