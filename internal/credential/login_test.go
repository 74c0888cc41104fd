package credential_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/credential"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
)

const api = "https://api.example.test"

// shelf is a keychain in memory.
type shelf struct {
	mu      sync.Mutex
	entries map[string]string
	fail    error
	hang    chan struct{}
	asked   int
}

func newShelf() *shelf { return &shelf{entries: map[string]string{}} }

func (s *shelf) visit() error {
	s.mu.Lock()
	s.asked++
	hang, fail := s.hang, s.fail
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return fail
}

func (s *shelf) Set(_, account, value string) error {
	if err := s.visit(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[account] = value
	return nil
}

func (s *shelf) Get(_, account string) (string, error) {
	if err := s.visit(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.entries[account]
	if !ok {
		return "", keychain.ErrNotFound
	}
	return value, nil
}

func (s *shelf) Delete(_, account string) error {
	if err := s.visit(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[account]; !ok {
		return keychain.ErrNotFound
	}
	delete(s.entries, account)
	return nil
}

func (s *shelf) set(fail error) { s.mu.Lock(); defer s.mu.Unlock(); s.fail = fail }
func (s *shelf) visits() int    { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

// newLogin keeps a login for api on the shelf, or else in a file.
func newLogin(t *testing.T, on *shelf, dir string) *credential.Login {
	t.Helper()
	return credential.NewLogin(keychain.Over(on, time.Minute), dir, api)
}

func loginSource(t *testing.T, login *credential.Login) *credential.Source {
	t.Helper()
	return newSource(t, credential.Config{Login: login})
}

func mustStore(t *testing.T, login *credential.Login, pat string) string {
	t.Helper()
	where, err := login.Store(t.Context(), client.NewSecret(pat))
	if err != nil {
		t.Fatal(err)
	}
	return where
}

func TestLoginIsKeptInTheKeychain(t *testing.T) {
	on, dir := newShelf(), filepath.Join(t.TempDir(), "login")
	login := newLogin(t, on, dir)
	refuses(t, loginSource(t, login), "kenbun-mcp login")
	pat := newPAT()
	if where := mustStore(t, login, pat); where != "the keychain" {
		t.Errorf("it is kept in %s", where)
	}
	gives(t, loginSource(t, login), pat, "the keychain")
	gives(t, loginSource(t, newLogin(t, on, dir)), pat, "the keychain")
	if on.entries["pat "+api] != pat {
		t.Error("the entry has another account or value")
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("a folder was made, too")
	}
	other := credential.NewLogin(keychain.Over(on, time.Second), dir, "https://other.example.test")
	refuses(t, loginSource(t, other), "kenbun-mcp login")

	places, err := login.Remove(t.Context())
	if err != nil || len(places) != 1 || places[0] != "the keychain" {
		t.Errorf("removed from %v, %v", places, err)
	}
	refuses(t, loginSource(t, login), "kenbun-mcp login")
	if places, err := login.Remove(t.Context()); err != nil || len(places) != 0 {
		t.Errorf("removed twice, from %v, %v", places, err)
	}
}

func TestLoginIsKeptInTheSystemsKeychain(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", kenbuntest.SecretService(t, true))
	login := credential.NewLogin(keychain.System(), filepath.Join(t.TempDir(), "login"), api)
	first, second := newPAT(), newPAT()
	mustStore(t, login, first)
	source := loginSource(t, credential.NewLogin(keychain.System(), t.TempDir(), api))
	gives(t, source, first, "the keychain")
	if place, err := source.Replace(t.Context(), client.NewSecret(second)); err != nil || place != "the keychain" {
		t.Fatalf("replaced in %q, %v", place, err)
	}
	gives(t, source, second, "the keychain")
	gives(t, loginSource(t, credential.NewLogin(keychain.System(), t.TempDir(), api)), second, "the keychain")
}

func TestLoginComesAfterEveryOtherPlace(t *testing.T) {
	login := newLogin(t, newShelf(), t.TempDir())
	mustStore(t, login, newPAT())
	pat := newPAT()
	file := filepath.Join(t.TempDir(), "pat")
	if err := os.WriteFile(file, []byte(pat), 0o600); err != nil {
		t.Fatal(err)
	}
	gives(t, newSource(t, credential.Config{Login: login, PAT: pat}), pat, "KENBUN_PAT")
	gives(t, newSource(t, credential.Config{Login: login, PATFile: file}), pat, "KENBUN_PAT_FILE")
	// A place that is named and does not work is not passed over.
	refuses(t, newSource(t, credential.Config{Login: login, PATFile: file + ".none"}), "KENBUN_PAT_FILE")
	refuses(t, newSource(t, credential.Config{Login: login, PAT: "nonsense"}), "KENBUN_PAT")
}

func TestLoginIsKeptInAFileWhereThereIsNoKeychain(t *testing.T) {
	on, dir := newShelf(), filepath.Join(t.TempDir(), "data", "login")
	on.set(keychain.ErrNoKeychain)
	login := newLogin(t, on, dir)
	refuses(t, loginSource(t, login), "kenbun-mcp login")
	pat := newPAT()
	where := mustStore(t, login, pat)
	file := filepath.Join(dir, "api.example.test.pat")
	if !strings.Contains(where, file) || !strings.Contains(where, "no keychain") || strings.Contains(where, pat) {
		t.Errorf("it is kept in %q", where)
	}
	gives(t, loginSource(t, login), pat, "the login file")

	// The keychain is back, and has an older token: the file is the newer.
	on.set(nil)
	on.entries["pat "+api] = newPAT()
	gives(t, loginSource(t, newLogin(t, on, dir)), pat, "the login file")
	newer := newPAT()
	mustStore(t, login, newer)
	if _, err := os.Lstat(file); err == nil {
		t.Error("the old file is still there")
	}
	gives(t, loginSource(t, newLogin(t, on, dir)), newer, "the keychain")
}

func TestR36_LoginFileThatOthersCanReachIsNotUsed(t *testing.T) {
	on, dir := newShelf(), filepath.Join(t.TempDir(), "login")
	on.set(keychain.ErrNoKeychain)
	login := newLogin(t, on, dir)
	pat := newPAT()
	mustStore(t, login, pat)
	file := filepath.Join(dir, "api.example.test.pat")
	for _, c := range []struct {
		name   string
		change func() error
		says   string
	}{
		{"readable", func() error { return os.Chmod(file, 0o640) }, "chmod 600"},
		{"linked", func() error { return errors.Join(os.Rename(file, file+".x"), os.Symlink(file+".x", file)) }, "symbolic link"},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		refuses(t, loginSource(t, login), c.says, pat)
		if _, err := login.Store(t.Context(), client.NewSecret(newPAT())); err == nil {
			t.Errorf("%s: it was written to", c.name)
		}
	}
}

func TestLoginsOfDifferentAPIsHaveDifferentFiles(t *testing.T) {
	on, dir := newShelf(), t.TempDir()
	on.set(keychain.ErrNoKeychain)
	addresses := []string{
		"https://api.example.test", "https://api.example.test:8443", "https://api.example.test/v1", "https://api.example.test/v2",
		"http://localhost:1", "http://localhost:2", "http://[::1]:1", "https://../../escaped",
	}
	for _, address := range addresses {
		mustStore(t, credential.NewLogin(keychain.Over(on, time.Second), dir, address), newPAT())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(addresses) {
		t.Errorf("%d files for %d addresses, %v", len(entries), len(addresses), err)
	}
}

func TestKeychainThatHangsIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newShelf()
		on.hang = make(chan struct{})
		login := credential.NewLogin(keychain.Over(on, 50*time.Millisecond), t.TempDir(), api)
		refuses(t, loginSource(t, login), "does not answer")
		close(on.hang)
		for range 5 {
			refuses(t, loginSource(t, login), "does not answer")
		}
		if n := on.visits(); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

func TestLoginIsNotAskedForAtEachCall(t *testing.T) {
	on := newShelf()
	login := newLogin(t, on, t.TempDir())
	pat := newPAT()
	on.entries["pat "+api] = pat
	for range 10 {
		gives(t, loginSource(t, login), pat, "the keychain")
	}
	if n := on.visits(); n != 1 {
		t.Errorf("the keychain was asked %d times", n)
	}
}
