package authority

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestA57_FilesArePrivate(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "made", "for it")
	f := newFixture(t, Config{Store: "sqlite:" + filepath.Join(dir, "kenbun.db")})
	f.user("ada@example.com", RoleMember)
	wantModes(t, dir, "kenbun.db", "kenbun.db-wal", "kenbun.db-shm", "kenbun.db.lock", "pepper")
}

func wantModes(t *testing.T, dir string, files ...string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = true
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %s", entry.Name(), info.Mode())
		}
	}
	for _, file := range files {
		if !found[file] {
			t.Errorf("%s is missing: there are %v", file, found)
		}
		delete(found, file)
	}
	if len(found) > 0 {
		t.Errorf("left in the folder: %v", found)
	}
}

func TestR36_FilesOfOthersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string) error
		says    string
	}{
		"folder writable by all": {func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o777) }, "chmod go-w"},
		"folder of a group":      {func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o770) }, "chmod go-w"},
		"readable database":      {func(_ *testing.T, dir string) error { return writeMode(filepath.Join(dir, "kenbun.db"), 0o644) }, "chmod 600"},
		"writable pepper":        {func(_ *testing.T, dir string) error { return writeMode(filepath.Join(dir, "pepper"), 0o620) }, "chmod 600"},
		"readable pepper":        {func(_ *testing.T, dir string) error { return writeMode(filepath.Join(dir, "pepper"), 0o640) }, "chmod 600"},
		"linked database": {func(t *testing.T, dir string) error {
			return os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(dir, "kenbun.db"))
		}, "not a regular file"},
		"database is a folder": {func(_ *testing.T, dir string) error { return os.Mkdir(filepath.Join(dir, "kenbun.db"), 0o700) }, "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := c.prepare(t, dir); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), Config{Store: "sqlite:" + filepath.Join(dir, "kenbun.db")})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

// writeMode makes a file with exactly that mode, whatever the umask. Where root
// runs the test, the file gets a group that root is not in.
func writeMode(path string, mode fs.FileMode) error {
	err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode))
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(path, -1, 54321))
	}
	return err
}
