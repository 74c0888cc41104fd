//go:build unix

// Package unixsocket listens on unix sockets that only chosen users can reach.
//
// Errors say what is wrong and what to do, without the path.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// Access says who can connect.
type Access int

const (
	// OwnUser lets the user of this process connect, and root. The folder must
	// belong to the user and have mode 0700.
	OwnUser Access = iota
	// Group lets the group of this process connect, too, such as that of a reverse
	// proxy. The folder must belong to the user or root, and nobody else may be
	// able to write to it.
	Group
)

func (a Access) mode() fs.FileMode {
	if a == Group {
		return 0o660
	}
	return 0o600
}

// maxPath is the longest path of a socket in bytes, on the system with the shortest.
const maxPath = 103

// dialTimeout bounds the look at whether a socket is in use.
const dialTimeout = 2 * time.Second

// Listen listens on path. It makes the folder, with mode 0700, if there is none.
// A socket that a dead process left behind is replaced. A socket in use and
// every other kind of file are left alone, and that is an error. Closing the
// listener removes the socket; the lock file beside it stays.
func Listen(ctx context.Context, path string, access Access) (net.Listener, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, errors.New("the folder of the socket cannot be found")
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path has %d bytes, and the system allows %d: choose a shorter one", len(path), maxPath)
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, privatefile.Explain("the folder of the socket cannot be made", err)
	}
	if err := checkFolder(folder, access); err != nil {
		return nil, err
	}
	lock, err := lock(path)
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, path, access.mode())
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(privatefile.Explain("the socket cannot be looked at", err), listener.Close(), lock.Close())
	}
	return &socket{listener, path, info, lock}, nil
}

// checkFolder reports who else could put another socket in the place of ours.
func checkFolder(folder string, access Access) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return privatefile.Explain("the folder of the socket cannot be looked at", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	own := ok && int(stat.Uid) == os.Geteuid()
	switch {
	case !info.IsDir():
		return errors.New("the folder of the socket is a link or a file: name the folder itself")
	case access == OwnUser && (!own || info.Mode().Perm()&0o077 != 0):
		return errors.New("the folder of the socket must be yours alone: choose a folder that belongs to you and run chmod 700 on it")
	case !own && stat.Uid != 0:
		return errors.New("the folder of the socket belongs to another user: choose one of your own")
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("other users can write to the folder of the socket and could exchange it: run chmod go-w on the folder")
	}
	return nil
}

// lock keeps another process from using the same path until it is closed. The
// system releases it when this process ends, however it ends.
func lock(path string) (*os.File, error) {
	file, err := privatefile.OpenLock(path)
	if err != nil {
		return nil, fmt.Errorf("the socket cannot be locked: %w", err)
	}
	err = privatefile.TryLock(file)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, privatefile.ErrLocked) {
		err = errInUse
	} else {
		err = privatefile.Explain("the lock file beside the socket cannot be locked", err)
	}
	return nil, errors.Join(err, file.Close())
}

var errInUse = errors.New("another program serves on the socket: end it, or choose another path")

func listen(ctx context.Context, path string, mode fs.FileMode) (*net.UnixListener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		// On Linux the file gets no more than this from the start. Where this has no
		// effect, the folder guards it for the moment until chmod.
		return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), uint32(mode)) })
	}}
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, privatefile.Explain("the socket cannot be made", err)
	}
	unix := listener.(*net.UnixListener)
	// Another process may have its own socket there by then.
	unix.SetUnlinkOnClose(false)
	// The umask may have taken from the group what is meant for it.
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(privatefile.Explain("the mode of the socket cannot be set", err), unix.Close(), os.Remove(path))
	}
	return unix, nil
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return privatefile.Explain("the socket cannot be looked at", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("something that is not a socket has its name: remove it, or choose another path")
	}
	connection, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(errInUse, connection.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return errInUse // or it cannot be told
	}
	if err := os.Remove(path); err != nil {
		return privatefile.Explain("the socket that a dead process left behind cannot be removed", err)
	}
	return nil
}

// socket removes its file when it is closed, and then its lock.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	lock *os.File
}

// Close implements [net.Listener].
func (s *socket) Close() error {
	err := s.StopListening()
	return errors.Join(err, s.UnixListener.Close(), s.lock.Close())
}

// StopListening removes the file, so that nobody can connect any more. Clients
// that have connected can still be accepted.
func (s *socket) StopListening() error {
	info, err := os.Lstat(s.path)
	if err == nil && os.SameFile(info, s.info) { // and not another's
		err = os.Remove(s.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return privatefile.Explain("the socket cannot be removed", err)
	}
	return nil
}
