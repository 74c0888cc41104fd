package credential_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/credential"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
)

// replaces fails the test unless the source puts a new token in the place of
// the old one and uses it at once. It returns the new one.
func replaces(t *testing.T, source *credential.Source, place string) string {
	t.Helper()
	if got, err := source.Replaceable(t.Context()); err != nil || got != place {
		t.Errorf("replaceable in %q, %v", got, err)
	}
	next := newPAT()
	if got, err := source.Replace(t.Context(), client.NewSecret(next)); err != nil || got != place {
		t.Fatalf("replaced in %q, %v", got, err)
	}
	gives(t, source, next, place)
	return next
}

// keeps fails the test unless the source refuses to replace pat, in words that
// hold word, and gives it as before.
func keeps(t *testing.T, source *credential.Source, pat, word string) {
	t.Helper()
	next := newPAT()
	_, before := source.Replaceable(t.Context())
	_, after := source.Replace(t.Context(), client.NewSecret(next))
	for _, err := range []error{before, after} {
		if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), pat) || strings.Contains(err.Error(), next) {
			t.Errorf("replace: %v, want an error that says %q", err, word)
		}
	}
	if got, _, err := source.Credential(t.Context()); err != nil || got.PAT.Reveal() != pat {
		t.Errorf("after it was not replaced another token is given, or %v", err)
	}
}

func TestReplaceInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pat")
	if err := os.WriteFile(file, []byte(newPAT()), 0o600); err != nil {
		t.Fatal(err)
	}
	next := replaces(t, newSource(t, credential.Config{PATFile: file}), "KENBUN_PAT_FILE")
	content, err := os.ReadFile(file)
	if err != nil || string(content) != next+"\n" {
		t.Errorf("the file does not hold the new token alone, %v", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file has mode %o", mode)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("beside it there is %v, %v", entries, err)
	}
}

func TestReplaceInTheLogin(t *testing.T) {
	on, dir := newShelf(), filepath.Join(t.TempDir(), "login")
	login := newLogin(t, on, dir)
	mustStore(t, login, newPAT())
	next := replaces(t, loginSource(t, login), "the keychain")
	if on.entries["pat "+api] != next {
		t.Error("the keychain holds another token")
	}
	on.set(keychain.ErrNoKeychain)
	mustStore(t, login, newPAT())
	replaces(t, loginSource(t, login), "the login file")
}

func TestA44_ReplaceIsAllOrNothing(t *testing.T) {
	pat := newPAT()
	file := filepath.Join(t.TempDir(), "pat")
	if err := os.WriteFile(file, []byte(pat), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(filepath.Dir(file), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	keeps(t, newSource(t, credential.Config{PATFile: link}), pat, "symbolic link")
	if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	keeps(t, newSource(t, credential.Config{PATFile: file}), pat, "chmod o-w")

	on := newShelf()
	login := newLogin(t, on, t.TempDir())
	mustStore(t, login, pat)
	source := loginSource(t, login)
	gives(t, source, pat, "the keychain")
	on.set(errors.New("refused"))
	if _, err := source.Replace(t.Context(), client.NewSecret(newPAT())); err == nil {
		t.Error("replaced in a keychain that refuses")
	}
	gives(t, source, pat, "the keychain")
	on.set(nil)
	gives(t, loginSource(t, newLogin(t, on, t.TempDir())), pat, "the keychain")
}

func TestReplaceTakesNothingButATokens(t *testing.T) {
	pat := newPAT()
	file := filepath.Join(t.TempDir(), "pat")
	if err := os.WriteFile(file, []byte(pat), 0o600); err != nil {
		t.Fatal(err)
	}
	source := newSource(t, credential.Config{PATFile: file})
	for _, bad := range []string{"", "nonsense", newPAT() + "\n" + newPAT()} {
		if _, err := source.Replace(t.Context(), client.NewSecret(bad)); err == nil {
			t.Error("replaced by what is no token")
		}
	}
	gives(t, source, pat, "KENBUN_PAT_FILE")
}

func TestReplaceSaysWhatOnlyThePersonCanChange(t *testing.T) {
	pat := newPAT()
	login := newLogin(t, newShelf(), t.TempDir())
	mustStore(t, login, newPAT())
	for word, config := range map[string]credential.Config{
		"KENBUN_PAT,":        {PAT: pat, Login: login},
		"KENBUN_PAT_COMMAND": {PATCommand: "printf %s " + pat, Login: login},
	} {
		source := newSource(t, config)
		keeps(t, source, pat, word)
		if _, err := source.Replaceable(t.Context()); !errors.Is(err, credential.ErrNotReplaceable) {
			t.Errorf("%s: %v", word, err)
		}
	}
	static := credential.Static{PAT: client.NewSecret(pat), Place: "the embedded API"}
	if _, err := static.Replace(t.Context(), client.NewSecret(newPAT())); !errors.Is(err, credential.ErrNotReplaceable) {
		t.Errorf("a token in memory: %v", err)
	}
	if _, err := newSource(t, credential.Config{}).Replace(t.Context(), client.NewSecret(newPAT())); !errors.Is(err, credential.ErrNone) {
		t.Errorf("no token at all: %v", err)
	}
	if _, err := loginSource(t, newLogin(t, newShelf(), t.TempDir())).Replace(t.Context(), client.NewSecret(newPAT())); !errors.Is(err, credential.ErrNone) {
		t.Errorf("no login: %v", err)
	}
}
