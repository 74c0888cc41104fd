//go:build unix

package privatefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// strangers is a group that no process of the tests is in.
const strangers = 54321

func TestR36_SecretsThatOthersCanReadOrWriteAreRefused(t *testing.T) {
	for mode, says := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o700: "",
		0o640: "can read it", 0o440: "can read it", 0o604: "can read it", 0o444: "can read it", 0o601: "can read it",
		0o620: "can write to it", 0o602: "can write to it", 0o666: "can write to it",
	} {
		path := filepath.Join(t.TempDir(), "secret")
		mustWrite(t, path, "value", mode)
		if os.Geteuid() == 0 {
			mustChown(t, path, 0, strangers)
		}
		link := path + ".link"
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, named := range []string{path, link} {
			content, err := ReadSecret(named, megabyte)
			if says == "" {
				if err != nil || string(content) != "value" {
					t.Errorf("mode %o: %q, %v", mode, content, err)
				}
				continue
			}
			var unsafeFile *UnsafeError
			if !errors.As(err, &unsafeFile) {
				t.Errorf("mode %o: %v, want an UnsafeError", mode, err)
				continue
			}
			for _, word := range []string{named, fmt.Sprintf("mode %04o", mode), says, "chmod 600 " + named} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("mode %o: the error does not say %q: %v", mode, word, err)
				}
			}
		}
	}
}

func TestR36_SecretsAreRegularFilesOfTheRightSize(t *testing.T) {
	folder := t.TempDir()
	pipe, large := filepath.Join(folder, "pipe"), filepath.Join(folder, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, large, "12345", 0o600)
	for path, says := range map[string]string{folder: "is a folder", pipe: "a device or a pipe", large: "larger than 4 bytes"} {
		if _, err := ReadSecret(path, 4); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", path, err, says)
		}
	}
	if _, err := ReadSecret(filepath.Join(folder, "missing"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
}

// A shell gives a pipe for <(command), by one of these names.
func TestR36_PipesAreReadOnce(t *testing.T) {
	for _, name := range []string{"/dev/fd/%d", "/proc/self/fd/%d"} {
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			continue // macOS has no /proc
		}
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf(name, reader.Fd())
		var unsafeFile *UnsafeError
		if _, err := ReadSecret(path, megabyte); !errors.As(err, &unsafeFile) {
			t.Errorf("%s is read where a file is read again and again: %v", name, err)
		}
		_, err = writer.WriteString("value")
		if err := errors.Join(err, writer.Close()); err != nil {
			t.Fatal(err)
		}
		if content, err := ReadSecretOnce(t.Context(), path, megabyte); err != nil || string(content) != "value" {
			t.Errorf("%s: %q, %v", name, content, err)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	mustWrite(t, path, "value", 0o600)
	if content, err := ReadSecretOnce(t.Context(), path, megabyte); err != nil || string(content) != "value" {
		t.Errorf("a file: %q, %v", content, err)
	}
	mustWrite(t, path, "value", 0o644)
	if os.Geteuid() == 0 {
		mustChown(t, path, 0, strangers)
	}
	if _, err := ReadSecretOnce(t.Context(), path, megabyte); err == nil || !strings.Contains(err.Error(), "can read it") {
		t.Errorf("a file that others can read: %v", err)
	}
}

func TestR36_PipesWithANameAreTheUsersAlone(t *testing.T) {
	for mode, says := range map[os.FileMode]string{0o600: "", 0o644: "can read it", 0o620: "can write to it", 0o666: "can write to it"} {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Chmod(pipe, mode)); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			mustChown(t, pipe, 0, strangers)
		}
		if says != "" {
			// Nobody writes: a pipe that is refused is not waited for.
			limited, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := ReadSecretOnce(limited, pipe, megabyte); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("mode %o: %v", mode, err)
			}
			continue
		}
		wrote := make(chan error, 1)
		go func() { wrote <- os.WriteFile(pipe, []byte("value"), 0o600) }()
		if content, err := ReadSecretOnce(t.Context(), pipe, megabyte); err != nil || string(content) != "value" {
			t.Fatalf("a pipe of the user's: %q, %v", content, err)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
	}
	unused := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(unused, 0o600); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ReadSecretOnce(short, unused, megabyte); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a pipe that nobody writes to: %v", err)
	}
	// The read that was given up ends with its pipe.
	if err := os.WriteFile(unused, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Kubernetes makes a secret a link to a file in a folder that is a link as well, and
// changes the secret by another link.
func TestR36_SecretsOfKubernetesAreFollowed(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	for i, mode := range []os.FileMode{0o400, 0o440, 0o400} {
		dated, value := fmt.Sprintf("..2026_11_30_%d", i), fmt.Sprintf("value %d", i)
		if err := os.Mkdir(filepath.Join(folder, dated), 0o755); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, filepath.Join(folder, dated, "key"), value, mode)
		next := filepath.Join(folder, "..data_tmp")
		if err := errors.Join(os.Symlink(dated, next), os.Rename(next, filepath.Join(folder, "..data"))); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := os.Symlink(filepath.Join("..data", "key"), path); err != nil {
				t.Fatal(err)
			}
		}
		content, err := ReadSecret(path, megabyte)
		if os.Geteuid() != 0 && mode == 0o440 {
			continue // the file must be root's
		}
		if err != nil || string(content) != value {
			t.Errorf("mode %o: %q, %v", mode, content, err)
		}
	}
}

// TestR36_SecretsOfOrchestrators reads, as another user, files as Kubernetes
// (fsGroup), systemd and Docker hand them out.
func TestR36_SecretsOfOrchestrators(t *testing.T) {
	if os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can give files to others")
	}
	const user, group = 54322, 54323
	folder := reachable(t)
	secrets := "/run/secrets"
	if err := os.Mkdir(secrets, 0o755); err == nil {
		t.Cleanup(func() { _ = os.Remove(secrets) })
	} else if !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		folder   string
		mode     fs.FileMode
		uid, gid int
		says     string
	}{
		"the group of this process":   {folder, 0o440, 0, group, ""},
		"readable by everybody":       {folder, 0o444, 0, group, "chmod 440"},
		"writable by its group":       {folder, 0o460, 0, group, "can write to it"},
		"a third user's":              {folder, 0o444, 54324, group, "belongs to another user"},
		"a third user's, as if alone": {folder, 0o440, 54324, group, "belongs to another user"},
		"one's own":                   {folder, 0o400, user, group, ""},
		"one's own, for its group":    {folder, 0o440, user, group, "chmod 600"},
		"Docker's":                    {secrets, 0o444, 0, 0, ""},
		"Docker's, writable":          {secrets, 0o446, 0, 0, "can write to it"},
		"Docker's, of a third user":   {secrets, 0o444, 54324, 0, "belongs to another user"},
	} {
		file, err := os.CreateTemp(c.folder, "kenbun-mcp-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file.Name()) })
		_, err = file.WriteString("value")
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		mustChown(t, file.Name(), c.uid, c.gid)
		if err := os.Chmod(file.Name(), c.mode); err != nil {
			t.Fatal(err)
		}
		output := asUser(t, user, group, "TestReadASecretForAnotherTest", "PRIVATEFILE_TEST_READ="+file.Name())
		if c.says == "" && !strings.Contains(output, "it holds value") || c.says != "" && !strings.Contains(output, c.says) {
			t.Errorf("%s: it should say %q: %s", name, c.says, output)
		}
	}
	// Root is in no group of others.
	path := filepath.Join(folder, "of root")
	mustWrite(t, path, "value", 0o440)
	if _, err := ReadSecret(path, megabyte); err != nil {
		t.Errorf("a file for the group of root: %v", err)
	}
}

// TestReadASecretForAnotherTest runs in a child process.
func TestReadASecretForAnotherTest(t *testing.T) {
	path := os.Getenv("PRIVATEFILE_TEST_READ")
	if path == "" {
		return
	}
	content, err := ReadSecret(path, megabyte)
	fmt.Printf("it holds %s, %v\n", content, err)
}
