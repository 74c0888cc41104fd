//go:build unix

package privatefile

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func mustChown(t *testing.T, path string, uid, gid int) {
	t.Helper()
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}

// reachable returns a folder of this user that others can enter and list.
func reachable(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "reachable")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, filepath.Dir(folder), filepath.Dir(filepath.Dir(folder))} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// asUser runs one test of this package in a process of another user and returns
// what it writes.
func asUser(t *testing.T, uid, gid uint32, test string, environment ...string) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	folder := reachable(t)
	path := filepath.Join(folder, "test")
	mustWrite(t, path, string(program), 0o755)
	command := exec.CommandContext(t.Context(), path, "-test.run", "^"+test+"$", "-test.v")
	command.Dir, command.Env = folder, environment
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("as user %d: %v", uid, err)
	}
	return string(output)
}
