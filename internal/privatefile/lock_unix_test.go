//go:build unix

package privatefile

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// stranger is a user who is not that of the tests.
const stranger = 54325

// heldByStranger has another user lock what is at path, and make it first if it
// is not there, until the test ends.
func heldByStranger(t *testing.T, path string) {
	t.Helper()
	flock, err := exec.LookPath("flock")
	if err != nil || os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can be another user, and flock has to be installed")
	}
	command := exec.CommandContext(t.Context(), flock, "--exclusive", "--nonblock", path, "-c", "echo held; exec sleep 60")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}, Setpgid: true}
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait() // it was killed
	})
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other user has no lock: %q, %v", line, err)
	}
}

func TestA44_OtherUsersCannotHoldTheLockOfAFile(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	folder := reachable(t)
	path := filepath.Join(folder, "secret")
	heldByStranger(t, folder)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	first, second := open(t, path, Options{}), open(t, path, Options{})
	if err := first.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := second.Lock(short); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("locked twice: %v", err)
	}
	mustHaveNothing(t, folder)
	locks := 0
	err := filepath.WalkDir(cache, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == cache {
			return err
		}
		if entry.IsDir() {
			mustHaveMode(t, path, 0o700)
			return nil
		}
		locks++
		mustHaveMode(t, path, 0o600)
		return nil
	})
	if err != nil || locks != 1 {
		t.Errorf("there are %d locks, %v", locks, err)
	}
}

func TestA44_FolderForLocksMustBeTheUsersAlone(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	f := open(t, filepath.Join(reachable(t), "secret"), Options{})
	if err := f.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, filepath.Join(reachable(t), "secret"), Options{})
	err := filepath.WalkDir(cache, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a folder for locks that others can open: %v", err)
	}
}

// In a shared folder such as /tmp another user can make the lock file first.
func TestA44_OtherUsersCannotTakeTheNameOfALock(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	folder := reachable(t)
	if err := os.Chmod(folder, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "database")
	heldByStranger(t, path+".lock")
	file, err := OpenLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := TryLock(file); err != nil {
		t.Error(err)
	}
	again, err := OpenLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := TryLock(again); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	other, err := OpenLock(path + "2")
	if err != nil {
		t.Fatal(err)
	}
	if err := TryLock(other); err != nil {
		t.Errorf("another file in the same folder: %v", err)
	}
	if err := errors.Join(file.Close(), again.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestA44_LockFileThatOthersCanOpenIsRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o644, 0o602, 0o660} {
		path := filepath.Join(reachable(t), "database")
		mustWrite(t, path+".lock", "", mode)
		if file, err := OpenLock(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
			_ = file.Close()
		}
	}
	path := filepath.Join(reachable(t), "database")
	if err := os.Symlink("elsewhere", path+".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLock(path); err == nil {
		t.Error("a symbolic link is followed")
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(path), "elsewhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the link names was made: %v", err)
	}
}

func mustHaveNothing(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}
