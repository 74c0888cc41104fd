//go:build unix

package delivery_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
)

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

func TestR36_FileIsTheUsersAloneUnderAnyUmask(t *testing.T) {
	for _, umask := range []int{0o000, 0o022, 0o077, 0o277, 0o377} {
		road, folder := newRoad(t)
		if umask&0o300 != 0 {
			// A umask that takes from the owner makes folders that nobody can use.
			mustMake(t, folder, 0o700)
		}
		old := syscall.Umask(umask)
		receipt, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1"))
		syscall.Umask(old)
		if err != nil {
			t.Errorf("umask %o: %v", umask, err)
			continue
		}
		mustBeMode(t, receipt.Where, 0o600)
		mustBeMode(t, folder, 0o700)
		if umask&0o300 == 0 {
			mustBeMode(t, filepath.Dir(folder), 0o700)
		}
	}
}

func TestR36_A44_FoldersThatOthersCanReachAreRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o777, 0o770, 0o750, 0o755, 0o701, 0o710, 0o704, 0o702, 0o777 | os.ModeSticky, 0o770 | os.ModeSetgid} {
		road, folder := newRoad(t)
		mustMake(t, folder, mode)
		refuses(t, road, folder, "chmod 700", 0)
	}
}

func TestA44_FoldersThatOthersCanReplaceAreRefused(t *testing.T) {
	road, folder := newRoad(t)
	mustMake(t, folder, 0o700)
	mustMake(t, filepath.Dir(folder), 0o777)
	refuses(t, road, folder, "written to by everybody", 0)
	mustMake(t, filepath.Dir(folder), 0o777|os.ModeSticky)
	if err := road.Check(t.Context()); err != nil {
		t.Errorf("a folder in a sticky one, such as that for temporary files: %v", err)
	}
}

func TestR36_A44_SymbolicLinksAreRefused(t *testing.T) {
	t.Run("as the folder", func(t *testing.T) {
		elsewhere := t.TempDir()
		mustMake(t, elsewhere, 0o700)
		road, folder := roadInto(t, filepath.Join(t.TempDir(), "tokens"))
		if err := os.Symlink(elsewhere, folder); err != nil {
			t.Fatal(err)
		}
		refuses(t, road, folder, "symbolic link", 0)
	})
	t.Run("as the folder, to nowhere", func(t *testing.T) {
		road, folder := roadInto(t, filepath.Join(t.TempDir(), "tokens"))
		if err := os.Symlink(filepath.Join(t.TempDir(), "nowhere"), folder); err != nil {
			t.Fatal(err)
		}
		refuses(t, road, folder, "choose another with --deliver-dir", 0)
	})
	t.Run("as the file", func(t *testing.T) {
		road, folder := newRoad(t)
		mustMake(t, folder, 0o700)
		target := filepath.Join(t.TempDir(), "target")
		if err := os.Symlink(target, filepath.Join(folder, "pat_1.token")); err != nil {
			t.Fatal(err)
		}
		if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1")); err == nil {
			t.Error("delivered through a symbolic link")
		}
		if _, err := os.Lstat(target); err == nil {
			t.Error("something was written where the link leads")
		}
	})
}

func TestFileNeedsAFolder(t *testing.T) {
	road, folder := roadInto(t, filepath.Join(t.TempDir(), "tokens"))
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, road, folder, "in the way", 0)

	road, folder = roadInto(t, filepath.Join(folder, "below", "a file"))
	refuses(t, road, folder, "in the way", 0)
}

func TestA44_FolderOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		kenbuntest.SkipUnlessRequired(t, "only root can give a folder to another user")
	}
	road, folder := newRoad(t)
	mustMake(t, folder, 0o700)
	if err := os.Chown(folder, 1, 1); err != nil {
		t.Fatal(err)
	}
	refuses(t, road, folder, "belongs to another user", 0)
}
