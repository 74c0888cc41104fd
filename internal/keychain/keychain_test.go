package keychain

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// stubborn is a keychain in memory that hangs when told to.
type stubborn struct {
	mu      sync.Mutex
	entries map[string]string
	// hang, if set, is what Set waits for, before or after it did its work.
	before, after chan struct{}
	ended         chan string // what was done, in order
	fail          error
	panics        bool
}

func newStubborn() *stubborn {
	return &stubborn{entries: map[string]string{}, ended: make(chan string, 100)}
}

func (s *stubborn) Set(_, account, value string) error {
	s.mu.Lock()
	before, after := s.before, s.after
	s.before, s.after = nil, nil
	s.mu.Unlock()
	if before != nil {
		<-before
	}
	if s.panics {
		panic("nil signal")
	}
	s.mu.Lock()
	defer func() { s.mu.Unlock(); s.ended <- "set" }()
	if s.fail != nil {
		return s.fail
	}
	s.entries[account] = value
	if after != nil {
		s.mu.Unlock()
		<-after
		s.mu.Lock()
	}
	return nil
}

func (s *stubborn) Get(_, account string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.entries[account]
	if !ok {
		return "", ErrNotFound
	}
	return value, s.fail
}

func (s *stubborn) Delete(_, account string) error {
	s.mu.Lock()
	defer func() { s.mu.Unlock(); s.ended <- "delete" }()
	if _, ok := s.entries[account]; !ok {
		return ErrNotFound
	}
	delete(s.entries, account)
	return nil
}

func (s *stubborn) entry(account string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[account]
}

// patience is by the clock of a bubble: no machine is too slow for it.
const patience = 50 * time.Millisecond

func TestA33_KeychainThatHangsDoesNotHoldUpItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStubborn()
		release := make(chan struct{})
		store.before = release
		k := Over(store, patience)
		began := time.Now()
		for range 3 { // the second and third wait for their turn, and no longer than the first
			err := k.Set(t.Context(), "a", client.NewSecret("new"))
			if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "unlock it") {
				t.Fatalf("a keychain that hangs: %v", err)
			}
		}
		if waited := time.Since(began); waited > 3*patience {
			t.Errorf("three calls took %s", waited)
		}
		close(release)
		// What came too late is undone.
		if first, second := <-store.ended, <-store.ended; first != "set" || second != "delete" {
			t.Errorf("the keychain did %s, %s; want set, delete", first, second)
		}
		if got := store.entry("a"); got != "" {
			t.Error("an entry is left that nobody was told of")
		}
		if err := k.Set(t.Context(), "a", client.NewSecret("again")); err != nil {
			t.Errorf("after it answered again: %v", err)
		}
	})
}

func TestA33_EntryThatWasReplacedTooLateComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStubborn()
		k := Over(store, patience)
		if err := k.Set(t.Context(), "a", client.NewSecret("old")); err != nil {
			t.Fatal(err)
		}
		<-store.ended
		release := make(chan struct{})
		store.after = release
		if err := k.Set(t.Context(), "a", client.NewSecret("new")); !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
		close(release)
		<-store.ended
		<-store.ended
		if got := store.entry("a"); got != "old" {
			t.Errorf("the entry holds %q, want the old value", got)
		}
	})
}

func TestKeychainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStubborn()
		release := make(chan struct{})
		defer close(release)
		store.before = release
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := Over(store, time.Minute).Set(ctx, "a", client.NewSecret("new")); !errors.Is(err, context.Canceled) {
			t.Errorf("after the context ended: %v", err)
		}
	})
}

func TestKeychainSurvivesALibraryThatPanics(t *testing.T) {
	store := newStubborn()
	store.panics = true
	k := Over(store, time.Minute)
	for range 2 {
		if err := k.Set(t.Context(), "a", client.NewSecret("new")); !errors.Is(err, ErrNoKeychain) {
			t.Errorf("a panic: %v", err)
		}
	}
}

func TestKeychainGivesBackWhatItWasGiven(t *testing.T) {
	k := Over(newStubborn(), time.Minute)
	if _, err := k.Get(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an entry that is not there: %v", err)
	}
	if err := k.Set(t.Context(), "a", client.NewSecret("value")); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(t.Context(), "a"); err != nil || got.Reveal() != "value" {
		t.Errorf("another value, or %v", err)
	}
	if err := k.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := k.Delete(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}
