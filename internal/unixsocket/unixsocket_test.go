//go:build unix

package unixsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestTheSocketIsForTheChosenUsersAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for access, mode := range map[Access]fs.FileMode{OwnUser: 0o600, Group: 0o660} {
		path := filepath.Join(t.TempDir(), "made", "socket")
		listener, err := Listen(t.Context(), path, access)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{path: mode, filepath.Dir(path): 0o700} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s has mode %v, %v; want %v", filepath.Base(name), info.Mode().Perm(), err, want)
			}
		}
		client, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := Listen(t.Context(), path, access); !errors.Is(err, errInUse) {
			t.Errorf("a second one on the same path: %v", err)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the end: %v", err)
		}
	}
}

func TestASocketThatADeadProcessLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "socket")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	// Of a program without our lock.
	if _, err := Listen(t.Context(), path, OwnUser); !errors.Is(err, errInUse) {
		t.Errorf("while it is in use: %v", err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), path, OwnUser)
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotASocketIsLeftAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file, link, fifo := filepath.Join(folder, "file"), filepath.Join(folder, "link"), filepath.Join(folder, "fifo")
	if err := errors.Join(os.WriteFile(file, []byte("kept"), 0o600), os.Symlink(file, link), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	paths := []string{file, link, folder, fifo}
	device := filepath.Join(folder, "device")
	switch err := makeDevice(device); {
	case err == nil:
		paths = append(paths, device)
	case os.Geteuid() == 0 && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission):
		t.Fatal(err)
	}
	for _, path := range paths {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(t.Context(), path, Group); err == nil || !strings.Contains(err.Error(), "not a socket") && path != folder {
			t.Errorf("it listens on the %s: %v", filepath.Base(path), err)
		}
		if after, err := os.Lstat(path); err != nil || after.Mode() != before.Mode() {
			t.Errorf("the %s is no more what it was: %v", filepath.Base(path), err)
		}
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "kept" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}

func TestAFolderThatOthersCouldUseIsRefused(t *testing.T) {
	for mode, want := range map[fs.FileMode]map[Access]string{
		0o700: {OwnUser: "", Group: ""},
		0o750: {OwnUser: "yours alone", Group: ""},
		0o755: {OwnUser: "yours alone", Group: ""},
		0o770: {OwnUser: "yours alone", Group: "can write"},
		0o777: {OwnUser: "yours alone", Group: "can write"},
	} {
		folder := filepath.Join(t.TempDir(), "made")
		if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, mode)); err != nil {
			t.Fatal(err)
		}
		link := folder + "-link"
		if err := os.Symlink(folder, link); err != nil {
			t.Fatal(err)
		}
		for access, problem := range want {
			listener, err := Listen(t.Context(), filepath.Join(folder, "socket"), access)
			if err == nil {
				listener.Close()
			}
			if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
				t.Errorf("mode %v, access %d: %v; want %q", mode, access, err, problem)
			}
			if _, err := Listen(t.Context(), filepath.Join(link, "socket"), access); err == nil {
				t.Error("it follows a link to a folder")
			}
		}
	}
	if _, err := Listen(t.Context(), filepath.Join(t.TempDir(), strings.Repeat("x", 200)), Group); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a path that is too long: %v", err)
	}
}
