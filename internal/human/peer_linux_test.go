package human

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestA46_TheOwnerOfAConnectionIsKnown(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("without IPv6 here: %v", err)
			continue
		}
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		local, remote := netip.MustParseAddrPort(connection.LocalAddr().String()), netip.MustParseAddrPort(listener.Addr().String())
		table := "/proc/self/net/tcp"
		if local.Addr().Is6() {
			table += "6"
		}
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		if uid, found := socketOwner(content, local, remote); !found || uid != os.Getuid() {
			t.Errorf("%s: the owner is %d (%t), want %d", address, uid, found, os.Getuid())
		}
		if OfAnotherUser(local, remote) {
			t.Errorf("%s: our own connection counts as another user's", address)
		}
		if _, found := socketOwner(content, local, netip.AddrPortFrom(remote.Addr(), 1)); found {
			t.Errorf("%s: a connection is found that is not there", address)
		}
		connection.Close()
		listener.Close()
	}
}

// TestA46_AnotherUserOfThisMachineIsShownNothing: the process list shows the
// address to all users while the browser is opened.
func TestA46_AnotherUserOfThisMachineIsShownNothing(t *testing.T) {
	if os.Getuid() != 0 {
		kenbuntest.SkipUnlessRequired(t, "only root can act as another user")
	}
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	connection := dialAs(t, nobody, address.Host)
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET "+address.Path+" HTTP/1.1\r\nHost: "+address.Host+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusForbidden || strings.Contains(string(body), "csrf") {
		t.Errorf("another user is answered with %d %s", response.StatusCode, body)
	}
	d.mustWait(t)
}

// dialAs connects with a socket that belongs to another user. On Linux the user
// for this is a thread's own.
func dialAs(t *testing.T, uid uintptr, address string) net.Conn {
	t.Helper()
	to := netip.MustParseAddrPort(address)
	type dialled struct {
		connection net.Conn
		err        error
	}
	done := make(chan dialled, 1)
	go func() {
		// The thread is not unlocked, and so ends with the goroutine.
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0); errno != 0 {
			done <- dialled{nil, errno}
			return
		}
		socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			done <- dialled{nil, err}
			return
		}
		file := os.NewFile(uintptr(socket), "socket")
		err = syscall.Connect(socket, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
		var connection net.Conn
		if err == nil {
			connection, err = net.FileConn(file)
		}
		done <- dialled{connection, errors.Join(err, file.Close())}
	}()
	got := mustReceive(t, done)
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.connection
}
