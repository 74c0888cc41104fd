//go:build unix

package privatefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

func mustHaveMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", filepath.Base(path), got, want)
	}
}

func TestR36_ReplacedFileIsTheUsersAloneUnderAnyUmask(t *testing.T) {
	for _, umask := range []int{0o000, 0o022, 0o077, 0o377} {
		path := filepath.Join(t.TempDir(), "secret")
		f := open(t, path, Options{})
		old := syscall.Umask(umask)
		err := f.Replace([]byte("x"))
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", umask, err)
		}
		mustHaveMode(t, path, 0o600)
	}
}

func TestR36_FileToAppendToIsTheUsersAloneUnderAnyUmask(t *testing.T) {
	for _, umask := range []int{0o000, 0o022, 0o077, 0o377} {
		path := filepath.Join(t.TempDir(), "log")
		old := syscall.Umask(umask)
		file, err := OpenAppend(path)
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", umask, err)
		}
		mustHaveMode(t, path, 0o600)
		if _, err := file.WriteString("one "); err != nil {
			t.Fatal(err)
		}
		again, err := OpenAppend(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.WriteString("two"); err != nil {
			t.Fatal(err)
		}
		mustHold(t, path, "one two")
		if err := errors.Join(file.Close(), again.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestR36_ReplaceTakesAwayWhatOthersHadAndGivesNothing(t *testing.T) {
	for before, after := range map[fs.FileMode]fs.FileMode{0o644: 0o600, 0o640: 0o600, 0o400: 0o400, 0o440: 0o400, 0o700: 0o700} {
		path := filepath.Join(t.TempDir(), "secret")
		mustWrite(t, path, "old", before)
		f := open(t, path, Options{AllowReaders: true})
		if err := f.Replace([]byte("new")); err != nil {
			t.Fatalf("mode %o: %v", before, err)
		}
		mustHaveMode(t, path, after)
		mustHold(t, path, "new")
	}
}

func TestR36_A44_FilesThatAreNotTheUsersAloneAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(path string) error
		says    string
	}{
		"the user's alone":  {func(p string) error { return os.WriteFile(p, nil, 0o600) }, ""},
		"readable by group": {withMode(0o640), "chmod 600"},
		"readable by other": {withMode(0o604), "chmod 600"},
		"writable by group": {withMode(0o620), "chmod 600"},
		"writable by other": {withMode(0o602), "chmod 600"},
		"a link":            {func(p string) error { return os.Symlink(p+".target", p) }, "symbolic link"},
		"a folder":          {func(p string) error { return os.Mkdir(p, 0o700) }, "folder has the name"},
		"a pipe":            {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "device or a pipe"},
		"a hard link": {func(p string) error {
			if err := os.WriteFile(p+".other", nil, 0o600); err != nil {
				return err
			}
			return os.Link(p+".other", p)
		}, "hard link"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := c.prepare(path); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path, Options{MaxSize: megabyte})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says == "":
			_ = f.Close()
		case err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), path):
			t.Errorf("%s: %v, want an error that says %q and no path", name, err, c.says)
		}
		file, err := OpenAppend(path)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s, to append: %v", name, err)
		case c.says == "":
			_ = file.Close()
		case err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), path):
			t.Errorf("%s, to append: %v, want an error that says %q and no path", name, err, c.says)
		}
	}
}

func withMode(mode fs.FileMode) func(string) error {
	return func(path string) error {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
}

func TestA44_FoldersInWhichOthersCanExchangeFilesAreRefused(t *testing.T) {
	for mode, refused := range map[fs.FileMode]bool{
		0o700: false, 0o755: false, 0o777: true, 0o702: true, 0o777 | fs.ModeSticky: false,
	} {
		folder := filepath.Join(t.TempDir(), "folder")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		f, err := Open(filepath.Join(folder, "secret"), Options{MaxSize: megabyte})
		if (err != nil) != refused {
			t.Errorf("folder of mode %v: %v", mode, err)
		}
		if err == nil {
			_ = f.Close()
		}
	}
}

func TestA44_WhatBelongsToOthersIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "secret")
	mustWrite(t, path, "theirs", 0o600)
	if err := os.Chown(path, 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{MaxSize: megabyte}); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("another user's file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(path), 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{MaxSize: megabyte}); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("another user's folder: %v", err)
	}
}

// Somebody who can write to the folder exchanges the file for a link, as fast as
// they can: nothing may be written or read where it leads.
func TestR36_A44_ExchangingTheFileForALinkGainsNothing(t *testing.T) {
	folder := t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "target")
	t.Run("to another folder", func(t *testing.T) { exchangeForLink(t, filepath.Join(folder, "secret"), elsewhere, elsewhere) })
	t.Run("within the folder", func(t *testing.T) {
		exchangeForLink(t, filepath.Join(folder, "secret"), filepath.Join(folder, "target"), "target")
	})
}

// exchangeForLink exchanges path for a link to target, which says where.
func exchangeForLink(t *testing.T, path, target, where string) {
	t.Helper()
	mustWrite(t, target, "target", 0o600)
	mustWrite(t, path, "old", 0o600)
	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Each step may fail, since the file comes and goes.
			_ = os.Symlink(where, path+".link")
			_ = os.Rename(path+".link", path)
			_ = os.WriteFile(path+".plain", []byte("plain"), 0o600)
			_ = os.Rename(path+".plain", path)
		}
	})
	replaced, refused := 0, 0
	// At least a second, and until the attacker has won once.
	for began := time.Now(); time.Since(began) < time.Second || refused == 0 && time.Since(began) < 20*time.Second; {
		f, err := Open(path, Options{MaxSize: megabyte})
		if err != nil {
			refused++
			continue
		}
		if string(f.Content()) == "target" {
			t.Error("what the link leads to was read")
		}
		if err := f.Replace([]byte("new")); err != nil {
			refused++
		} else {
			replaced++
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	attacker.Wait()
	mustHold(t, target, "target")
	t.Logf("%d replaced, %d refused", replaced, refused)
	if refused == 0 {
		t.Error("the attacker never won a race, so that nothing is shown")
	}
}
