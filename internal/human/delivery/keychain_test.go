package delivery_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestKeychainHoldsTheValueUnderTheTokensID(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", kenbuntest.SecretService(t, true))
	road := delivery.NewKeychain(keychain.System())
	if err := road.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := newToken("pat_abc123")
	receipt, err := road.Deliver(t.Context(), tools.Caller{}, token)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keychain.System().Get(t.Context(), "pat_abc123"); err != nil || !got.Equal(token.Value) {
		t.Errorf("the entry holds something else: %v", err)
	}
	if receipt.Method != "keychain" || receipt.Value != "" || receipt.Sealed != "" ||
		!strings.Contains(receipt.Where, "pat_abc123") || !strings.Contains(receipt.Note, "pat_abc123") {
		t.Errorf("the receipt is %+v", receipt)
	}
	if strings.Contains(receipt.Where+receipt.Note, token.Value.Reveal()) {
		t.Error("the receipt holds the value")
	}
}

// listing is a keychain in memory that tells what is in it.
type listing struct {
	mu      sync.Mutex
	entries map[string]string
	fail    error
	forgets bool // gives back something else
	hang    chan struct{}
}

func (l *listing) Set(_, account, value string) error {
	if l.hang != nil {
		<-l.hang
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.entries[account] = value
	return nil
}

func (l *listing) Get(_, account string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, ok := l.entries[account]
	switch {
	case !ok:
		return "", keychain.ErrNotFound
	case l.forgets:
		return "another", nil
	}
	return value, nil
}

func (l *listing) Delete(_, account string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, account)
	return nil
}

func TestA33_KeychainThatDoesNotWorkIsNoticedByTheCheck(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, c := range map[string]struct {
		store *listing
		limit time.Duration
		says  string
	}{
		"refuses": {&listing{fail: keychain.ErrNoKeychain}, time.Minute, "the keychain cannot be written to: there is no keychain here. With --deliver file, new tokens are delivered into files instead"},
		"forgets": {&listing{forgets: true}, time.Minute, "something else"},
		"hangs":   {&listing{hang: hang}, 50 * time.Millisecond, "unlock it"},
	} {
		c.store.entries = map[string]string{}
		road := delivery.NewKeychain(keychain.Over(c.store, c.limit))
		if err := road.Check(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "--deliver file") {
			t.Errorf("%s: %v", name, err)
		}
		c.store.mu.Lock()
		if len(c.store.entries) != 0 {
			t.Errorf("%s: the check left %d entries", name, len(c.store.entries))
		}
		c.store.mu.Unlock()
		if name == "forgets" {
			continue // a keychain that forgets what it took is found by the check alone
		}
		token := newToken("pat_1")
		if _, err := road.Deliver(t.Context(), tools.Caller{}, token); err == nil || strings.Contains(err.Error(), token.Value.Reveal()) {
			t.Errorf("%s: delivered, or the error holds the value", name)
		}
	}
}

func TestKeychainCheckLeavesNothing(t *testing.T) {
	store := &listing{entries: map[string]string{"pat_kept": client.NewSecret("x").Reveal()}}
	if err := delivery.NewKeychain(keychain.Over(store, time.Minute)).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(store.entries) != 1 {
		t.Errorf("the keychain holds %d entries, want the one from before", len(store.entries))
	}
	store.fail = errors.New("full")
	if err := delivery.NewKeychain(keychain.Over(store, time.Minute)).Check(t.Context()); err == nil {
		t.Error("a keychain that takes nothing passed")
	}
}
