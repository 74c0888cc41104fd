//go:build unix

package journal_test

import (
	"errors"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestR36_JournalIsTheUsersAloneUnderAnyUmask(t *testing.T) {
	for _, umask := range []int{0o000, 0o077, 0o377} {
		f := newJournalFixture(t)
		mustMake(t, f.dir, 0o700)
		old := syscall.Umask(umask)
		_, err := f.journal(false).Begin(t.Context(), f.caller(f.pat), tokens.Intent{Name: "x", BeganAt: time.Now()})
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", umask, err)
		}
		for _, name := range entriesOf(t, f.dir) {
			if name != "lock" { // holds nothing
				mustBeMode(t, filepath.Join(f.dir, name), 0o600)
			}
		}
	}
}

func TestA33_NothingIsBegunWhereNothingCanBeNoted(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		says    string
	}{
		"others can reach it": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) }, "chmod 700"},
		"a symbolic link":     {func(dir string) error { return os.Symlink(filepath.Dir(dir), dir) }, "symbolic link"},
		"a file":              {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "in the way"},
	} {
		f := newJournalFixture(t)
		if err := c.prepare(f.dir); err != nil {
			t.Fatal(err)
		}
		_, err := f.journal(true).Begin(t.Context(), f.caller(f.pat), tokens.Intent{Name: "x", BeganAt: time.Now()})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "--journal-dir") || !strings.Contains(err.Error(), f.dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustMake(t *testing.T, folder string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, mode); err != nil {
		t.Fatal(err)
	}
}

func mustBeMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", filepath.Base(path), got, want)
	}
}
