package privatefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const megabyte = 1 << 20

func open(t *testing.T, path string, options Options) *File {
	t.Helper()
	if options.MaxSize == 0 {
		options.MaxSize = megabyte
	}
	f, err := Open(path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // a test may have closed it
	return f
}

func mustWrite(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
}

// alone fails the test unless the folder holds the file and nothing else.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the folder holds %v", entries)
	}
}

func TestReplaceMakesAndReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "secret")
	f := open(t, path, Options{MakeFolder: true})
	if f.Exists() {
		t.Error("a file that is not there exists")
	}
	for _, content := range []string{"one", "two, which is longer", "3"} {
		if err := f.Replace([]byte(content)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, path, content)
		if got := string(f.Content()); got != content || !f.Exists() {
			t.Errorf("it is known to hold %q", got)
		}
	}
	alone(t, path)
	if err := f.Probe(100); err != nil {
		t.Error(err)
	}
	alone(t, path)
	mustHold(t, path, "3")
}

func TestReadTellsAMissingFileFromABadOne(t *testing.T) {
	folder := t.TempDir()
	if _, err := Read(filepath.Join(folder, "none"), megabyte); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(filepath.Join(folder, "no", "folder"), megabyte); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	path := filepath.Join(folder, "large")
	mustWrite(t, path, strings.Repeat("x", 101), 0o600)
	if _, err := Read(path, 100); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "larger than 100 bytes") {
		t.Errorf("a large file: %v", err)
	}
	if got, err := Read(path, 101); err != nil || len(got) != 101 {
		t.Errorf("a file just small enough: %d bytes, %v", len(got), err)
	}
}

func TestReplaceDoesNotOverwriteWhatSomebodyElseWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for name, interfere := range map[string]func() error{
		"made":      func() error { return os.WriteFile(path, []byte("theirs"), 0o600) },
		"changed":   func() error { return os.WriteFile(path, []byte("theirs too"), 0o600) },
		"exchanged": func() error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("theirs"), 0o600)) },
		"removed":   func() error { return os.Remove(path) },
	} {
		f := open(t, path, Options{})
		if name != "made" && !f.Exists() {
			mustWrite(t, path, "ours", 0o600)
			f = open(t, path, Options{})
		} else if name == "made" && f.Exists() {
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
			f = open(t, path, Options{})
		}
		if err := interfere(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		if err := f.Replace([]byte("new")); err == nil || !strings.Contains(err.Error(), "changed by another program") {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s: the file held %q and holds %q", name, before, after)
		}
	}
}

func TestLockLetsOneWriteAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "count")
	mustWrite(t, path, "", 0o600)
	const writers = 20
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			f, err := Open(path, Options{MaxSize: megabyte})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = f.Close() }()
			if err := f.Lock(t.Context()); err != nil {
				t.Error(err)
				return
			}
			if err := f.Replace(append(f.Content(), 'x')); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	mustHold(t, path, strings.Repeat("x", writers))
}

func TestLockDoesNotWaitForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	first, second := open(t, path, Options{}), open(t, path, Options{})
	if err := first.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := second.Lock(ctx); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a lock that is held: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Lock(t.Context()); err != nil {
		t.Errorf("a lock that was released: %v", err)
	}
}

func TestUnlockLetsTheNextOneIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var files []*os.File
	for range 2 {
		file, err := OpenAppend(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		files = append(files, file)
	}
	if err := errors.Join(TryLock(files[0]), Unlock(files[0]), TryLock(files[1])); err != nil {
		t.Fatal(err)
	}
	if err := TryLock(files[0]); !errors.Is(err, ErrLocked) {
		t.Errorf("while another holds the lock: %v", err)
	}
}
