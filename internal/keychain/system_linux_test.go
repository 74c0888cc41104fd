package keychain

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestSystemKeychainKeepsReplacesAndForgets(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", kenbuntest.SecretService(t, true))
	k := System()
	account := "test " + rand.Text()
	for _, value := range []string{rand.Text(), rand.Text()} {
		if err := k.Set(t.Context(), account, client.NewSecret(value)); err != nil {
			t.Fatal(err)
		}
		got, err := k.Get(t.Context(), account)
		if err != nil || got.Reveal() != value {
			t.Fatalf("another value, or %v", err)
		}
	}
	if err := k.Delete(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), account); !errors.Is(err, ErrNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}
}

func TestLockedSystemKeychainIsNamedSo(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", kenbuntest.SecretService(t, false))
	err := Over(systemStore{}, 2*time.Second).Set(t.Context(), "a", client.NewSecret("value"))
	if err == nil || !errors.Is(err, ErrNoAnswer) && !errors.Is(err, ErrNoKeychain) {
		t.Fatalf("a locked keychain: %v", err)
	}
	t.Log(err)
}

// Without a session the library would start one, as a child with all of this
// process's environment.
func TestA45_WithoutASessionNothingIsStarted(t *testing.T) {
	if _, err := os.Stat(filepath.Join("/run/user", "0", "bus")); err == nil && os.Getuid() == 0 {
		kenbuntest.SkipUnlessRequired(t, "this machine has a session bus for its user")
	}
	folder := t.TempDir()
	trace := filepath.Join(folder, "started")
	if err := os.WriteFile(filepath.Join(folder, "dbus-launch"), []byte("#!/bin/sh\n: > "+trace+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	if _, err := exec.LookPath("dbus-launch"); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		_, err := System().Get(t.Context(), "a")
		if !errors.Is(err, ErrNoKeychain) || !strings.Contains(err.Error(), "no D-Bus session") {
			t.Errorf("without a session: %v", err)
		}
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("a session was started")
	}
}

func TestSessionWithoutAKeychainIsNamedSo(t *testing.T) {
	for address, says := range map[string]string{
		"disabled:":                    "cannot be reached",
		"unix:path=/nonexistent/busxx": "cannot be reached",
	} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		_, err := System().Get(t.Context(), "a")
		if !errors.Is(err, ErrNoKeychain) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "nonexistent") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
