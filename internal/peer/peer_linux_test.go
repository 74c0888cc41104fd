package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// patience bounds failures; nothing waits for it to pass.
const patience = 30 * time.Second

// someoneElse is a user other than root and the one who runs the tests.
const someoneElse = 61234

// pair is a connection: the client's end, as a socket of its own, and ours.
type pair struct {
	client int
	ours   net.Conn
}

// connect connects to a listener on address with a socket of a family that
// belongs to uid.
func connect(t *testing.T, listenOn string, family int, uid int) pair {
	t.Helper()
	if uid != os.Geteuid() && os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can act as another user")
	}
	listener, err := net.Listen("tcp", listenOn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return connectTo(t, listener, family, uid)
}

func connectTo(t *testing.T, listener net.Listener, family int, uid int) pair {
	t.Helper()
	to := netip.MustParseAddrPort(listener.Addr().String())
	address := to.Addr()
	if address.IsUnspecified() {
		address = netip.MustParseAddr("127.0.0.1")
	}
	var name syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(to.Port()), Addr: address.As16()}
	if family == syscall.AF_INET {
		name = &syscall.SockaddrInet4{Port: int(to.Port()), Addr: address.As4()}
	}
	connected := make(chan error, 1)
	socket := -1
	go func() {
		// On Linux the user for this is a thread's own. The thread is not unlocked,
		// and so ends with the goroutine.
		runtime.LockOSThread()
		connected <- func() (err error) {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0); errno != 0 {
				return errno
			}
			if socket, err = syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			return syscall.Connect(socket, name)
		}()
	}()
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	ours, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return pair{socket, ours}
}

func (p pair) close(t *testing.T) {
	t.Helper()
	if err := syscall.Close(p.client); err != nil {
		t.Fatal(err)
	}
}

func TestA46_OurOwnConnectionsAreOurs(t *testing.T) {
	for _, c := range []struct {
		listenOn string
		family   int
	}{{"127.0.0.1:0", syscall.AF_INET}, {"127.0.0.1:0", syscall.AF_INET6}, {"[::1]:0", syscall.AF_INET6}, {"[::]:0", syscall.AF_INET}} {
		p := connect(t, c.listenOn, c.family, os.Geteuid())
		if !IsOwnUser(ConnContext(t.Context(), p.ours)) {
			t.Errorf("%s, family %d: our own connection counts as another user's", c.listenOn, c.family)
		}
		p.close(t)
	}
	if IsOwnUser(t.Context()) {
		t.Error("a request without a connection counts as ours")
	}
}

func TestA46_ConnectionsOfAnotherUserAreNotOurs(t *testing.T) {
	for _, c := range []struct {
		listenOn string
		family   int
	}{{"127.0.0.1:0", syscall.AF_INET}, {"127.0.0.1:0", syscall.AF_INET6}, {"[::1]:0", syscall.AF_INET6}, {"[::]:0", syscall.AF_INET}, {"[::]:0", syscall.AF_INET6}} {
		p := connect(t, c.listenOn, c.family, someoneElse)
		if uid, err := tcpPeer(p.ours); err != nil || uid != someoneElse {
			t.Errorf("%s, family %d: the owner is %d, %v", c.listenOn, c.family, uid, err)
		}
		if IsOwnUser(ConnContext(t.Context(), p.ours)) {
			t.Errorf("%s, family %d: another user's connection counts as ours", c.listenOn, c.family)
		}
		p.close(t)
	}
}

// A client that is gone may have been anybody's, even if it was ours.
func TestA46_AClosedSocketIsNobodys(t *testing.T) {
	for name, leave := range map[string]func(socket int) error{
		"with FIN": syscall.Close,
		"with RST": func(socket int) error {
			return errors.Join(syscall.SetsockoptLinger(socket, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}), syscall.Close(socket))
		},
		"with half of it": func(socket int) error { return syscall.Shutdown(socket, syscall.SHUT_WR) },
	} {
		for _, uid := range []int{os.Geteuid(), someoneElse} {
			p := connect(t, "127.0.0.1:0", syscall.AF_INET, uid)
			if err := leave(p.client); err != nil {
				t.Fatal(err)
			}
			if uid, err := tcpPeer(p.ours); !errors.Is(err, errNotFound) || IsOwnUser(ConnContext(t.Context(), p.ours)) {
				t.Errorf("closed %s: the owner is %d, %v", name, uid, err)
			}
		}
	}
}

// The answer is that of the connection, which stays the same.
func TestTheVerdictIsRememberedWithTheConnection(t *testing.T) {
	p := connect(t, "127.0.0.1:0", syscall.AF_INET, os.Geteuid())
	ctx := ConnContext(t.Context(), p.ours)
	first := IsOwnUser(ctx)
	p.close(t)
	if !first || !IsOwnUser(ctx) {
		t.Error("the verdict changed with the end of the client")
	}
}

func TestA46_ASocketThatNoProcessHasIsNobodys(t *testing.T) {
	// The kernel shows a connection that nobody has accepted as root's.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	own, other := netip.MustParseAddrPort(client.LocalAddr().String()), netip.MustParseAddrPort(listener.Addr().String())
	if uid, err := socketOwner(other, own); !errors.Is(err, errNotFound) {
		t.Errorf("the owner is %d, %v", uid, err)
	}
}

func TestA46_AmbiguousAndDamagedTablesTellNothing(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tcp")
	line := func(uid, inode int) string {
		return fmt.Sprintf("   1: 0100007F:0001 0100007F:0002 01 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 0 20 4 30 10 -1\n", uid, inode)
	}
	const pattern = " 0100007F:0001 0100007F:0002 01 "
	for content, want := range map[string]int{
		"":                      0,
		line(0, 5):              1,
		line(0, 5) + line(0, 5): 1,
		line(0, 5) + line(7, 5): 2,
		line(0, 5) + line(0, 6): 2,
		strings.Replace(line(0, 5), "01 ", "06 ", 1): 0,
	} {
		if err := os.WriteFile(table, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := findSockets(table, pattern); err != nil || len(found) != want {
			t.Errorf("%q: %d entries, %v; want %d", content, len(found), err, want)
		}
	}
	if err := os.WriteFile(table, []byte("   1: 0100007F:0001 0100007F:0002 01 \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := findSockets(table, pattern); err == nil {
		t.Errorf("a damaged table tells %v", found)
	}
}

func TestA46_UnixSocketsTellWhoConnects(t *testing.T) {
	if os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can act as another user")
	}
	folder := openFolder(t)
	path := filepath.Join(folder, "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	program := testProgram(t, folder)
	for uid, want := range map[int]bool{0: true, someoneElse: false} {
		client := exec.Command(program, "-test.run=^TestHelper_ConnectsToAUnixSocket$", "-test.count=1")
		client.Env = []string{"PEER_TEST_SOCKET=" + path}
		client.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		client.Dir = "/"
		said := &strings.Builder{}
		client.Stdout, client.Stderr = said, said
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		ours, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := IsOwnUser(ConnContext(t.Context(), ours)); got != want {
			t.Errorf("user %d counts as our own: %t, want %t", uid, got, want)
		}
		ours.Close()
		if err := client.Wait(); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	}
}

// TestHelper_ConnectsToAUnixSocket is another process of the test before.
func TestHelper_ConnectsToAUnixSocket(t *testing.T) {
	path := os.Getenv("PEER_TEST_SOCKET")
	if path == "" {
		return // not called by a test
	}
	connection, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = connection.Read(make([]byte, 1)) // until it is closed
}

// Where our own number stands for everybody who has none, it tells nothing of
// who connects.
func TestA46_AUserWithoutANumberIsNobodysOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		require.SkipUnlessRequired(t, "only root can act as another user")
	}
	folder := openFolder(t)
	program := testProgram(t, folder)
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := strconv.Atoi(strings.TrimSpace(string(overflow)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		as   *syscall.SysProcAttr
		want string
	}{
		// All users of the machine have that number inside.
		"in a user namespace without numbers": {&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}, "false false"},
		// Here it is a user like others.
		"as the user who has the number": {&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(nobody), Gid: uint32(nobody)}}, "true true"},
	} {
		inside := exec.Command(program, "-test.run=^TestHelper_ConnectsToItself$", "-test.count=1")
		inside.Env = []string{"PEER_TEST_NUMBER=" + strconv.Itoa(nobody)}
		inside.SysProcAttr = c.as
		inside.Dir = "/"
		said, err := inside.CombinedOutput()
		if err != nil && errors.Is(err, syscall.EPERM) {
			require.SkipUnlessRequired(t, "user namespaces cannot be made here")
		}
		if line, _, _ := strings.Cut(string(said), "\n"); err != nil || line != c.want {
			t.Errorf("%s: our own connections are ours: %v: %s, want %s", name, err, said, c.want)
		}
	}
}

// TestHelper_ConnectsToItself is another process of the test before. It writes
// whether its own connections over TCP and over a unix socket count as its own.
func TestHelper_ConnectsToItself(t *testing.T) {
	number := os.Getenv("PEER_TEST_NUMBER")
	if number == "" {
		return // not called by a test
	}
	if strconv.Itoa(os.Geteuid()) != number {
		t.Fatalf("this is user %d", os.Geteuid())
	}
	var verdicts []string
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": "@kenbun-mcp-peer-" + number + "-" + strconv.Itoa(os.Getppid())} {
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		client, err := net.Dial(network, listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ours, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		verdicts = append(verdicts, strconv.FormatBool(IsOwnUser(ConnContext(t.Context(), ours))))
	}
	fmt.Println(strings.Join(verdicts, " "))
}

// openFolder is one that other users can get into.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "kenbun-mcp-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// testProgram copies this test to where other users can run it.
func testProgram(t *testing.T, folder string) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "peer.test")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// BenchmarkIsOwnUser_Among4000Connections measures what the first request on a
// connection costs where thousands are open.
func BenchmarkIsOwnUser_Among4000Connections(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	var ours net.Conn
	for range 2000 { // each has two ends in the table
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		if ours, err = listener.Accept(); err != nil {
			b.Fatal(err)
		}
		defer ours.Close()
	}
	for b.Loop() {
		if !isOwnUser(ours) {
			b.Fatal("our own connection is not ours")
		}
	}
}
