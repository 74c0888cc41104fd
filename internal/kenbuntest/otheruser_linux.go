package kenbuntest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// SomeoneElse is the number of a user other than root and the one who runs the tests.
const SomeoneElse = 61234

// DialAs connects to a loopback address with a socket of a family, such as
// syscall.AF_INET6, that belongs to another user. Only root can.
func DialAs(t testing.TB, uid, family int, address string) *net.TCPConn {
	t.Helper()
	if os.Geteuid() != 0 {
		SkipUnlessRequired(t, "only root can act as another user")
	}
	to := netip.MustParseAddrPort(address)
	var name syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if family == syscall.AF_INET {
		name = &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	var connection net.Conn
	done := make(chan error, 1)
	go func() {
		// On Linux the user for this is a thread's own. The thread is not unlocked,
		// and so ends with the goroutine.
		runtime.LockOSThread()
		done <- func() error {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0); errno != 0 {
				return errno
			}
			socket, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			file := os.NewFile(uintptr(socket), "socket")
			if err = syscall.Connect(socket, name); err == nil {
				connection, err = net.FileConn(file)
			}
			return errors.Join(err, file.Close())
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return connection.(*net.TCPConn)
}
