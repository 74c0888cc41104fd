package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// attacked is the built program under attack, and a user who works with it.
type attacked struct {
	address string
	pid     int
	pat     string
	user    *http.Client
}

// startAttacked serves the built program, for one user whose address is not the
// attackers'. A shell prepares what the program is to be held to.
func startAttacked(t *testing.T, environment []string, prepare ...string) *attacked {
	t.Helper()
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleAdmin)
	environment = append(kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=error"), environment...)
	command := exec.Command("/bin/sh", "-ec", strings.Join(append(prepare, `exec "$0" http --listen 127.0.0.1:0`), "; "), kenbuntest.Binary(t))
	command.Env = environment
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	said, err := lines.ReadString('\n')
	_, rest, found := strings.Cut(said, "://")
	if err != nil || !found {
		t.Fatalf("the server did not start: %q, %v", said, err)
	}
	address, _, _ := strings.Cut(rest, "/")
	ended := make(chan struct{})
	var log bytes.Buffer
	go func() {
		defer close(ended)
		_, _ = io.Copy(&log, lines)
	}()
	t.Cleanup(func() {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		<-ended
		if err := command.Wait(); err != nil {
			t.Errorf("the server ended with %v: %s", err, log.String())
		}
	})
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 99)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &attacked{address: address, pid: command.Process.Pid, pat: pat, user: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// call has the user call a tool, and returns how long that took.
func (a *attacked) call(ctx context.Context) (time.Duration, error) {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{},"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.address+"/mcp", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + a.pat, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "whoami",
	} {
		r.Header.Set(name, value)
	}
	begun := time.Now()
	response, err := a.user.Do(r)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was read
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(text, []byte("ada@example.com")) {
		return 0, fmt.Errorf("status %d, %w: %.200s", response.StatusCode, err, text)
	}
	return time.Since(begun), nil
}

// p99 is that of n calls of the user's, one after the other and no faster than
// the default limit for a user allows.
func (a *attacked) p99(t *testing.T, n int) time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		d, err := a.call(t.Context())
		if err != nil {
			t.Fatalf("call %d of the user: %v", i, err)
		}
		took[i] = d
	}
	slices.Sort(took)
	return took[n*99/100]
}

// highWater is the most memory that the program had at once, in bytes.
func (a *attacked) highWater(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the kernel does not tell")
	return 0
}

// strangerToken is a well-formed token that no API issued.
func strangerToken() string {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	return "kbn" + "_pat_" + hex.EncodeToString(random)
}

// Bodies of 1 MiB that cost a reader many times their size.
func costlyBodies() []string {
	const size = 1 << 20
	padded := func(begin, part, end string) string {
		n := (size - len(begin) - len(end)) / len(part)
		return begin + strings.Repeat(part, n) + end
	}
	var members strings.Builder
	members.WriteString(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{"a":0`)
	for i := 0; members.Len() < size-100; i++ {
		fmt.Fprintf(&members, `,"%d":0`, i)
	}
	members.WriteString(`}}}`)
	return []string{
		padded(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{"x":[`, `{"a":{}},`, `0]}}}`),
		members.String(),
		padded(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"x":`, `{"a":`, `0`),
		padded(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`, `x`, `"}}`),
	}
}

// stranger sends one request with body from a loopback address, and reads what
// is answered. Every fourth brings no token, every third says nothing of the
// size of its body.
func (a *attacked) stranger(n int, body string) (status string, err error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%8))}, Timeout: 10 * time.Second}
	connection, err := dialer.Dial("tcp", a.address)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(40 * time.Second))
	var head strings.Builder
	head.WriteString("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n")
	if n%4 != 3 {
		head.WriteString("Authorization: Bearer " + strangerToken() + "\r\n")
	}
	if n%3 == 2 {
		fmt.Fprintf(&head, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(body))
		body += "\r\n0\r\n\r\n"
	} else {
		fmt.Fprintf(&head, "Content-Length: %d\r\n\r\n", len(body))
	}
	go func() { _, _ = io.WriteString(connection, head.String()+body) }()
	return bufio.NewReader(connection).ReadString('\n')
}

// strangers sends n requests at once, with bodies of 1 MiB.
func (a *attacked) strangers(n int) map[string]int {
	bodies := costlyBodies()
	statuses := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			status, err := a.stranger(i, bodies[i%len(bodies)])
			if err != nil {
				status = "error: " + err.Error()[max(0, len(err.Error())-40):]
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[strings.TrimSpace(status)]++
		})
	}
	all.Wait()
	return statuses
}

// TestA22_FourHundredStrangersCostNoMemory has strangers send the largest bodies
// that there may be, all at once, to the built program.
func TestA22_FourHundredStrangersCostNoMemory(t *testing.T) {
	a := startAttacked(t, nil)
	alone := a.p99(t, 100)
	before := a.highWater(t)
	statuses := a.strangers(400)
	grown := a.highWater(t) - before
	t.Logf("400 strangers at once: %d MiB before, %d MiB more; p99 alone %s; answers %v", before>>20, grown>>20, alone, statuses)
	if grown > 64<<20 {
		t.Errorf("400 strangers at once took %d MiB, want less than 64 MiB", grown>>20)
	}
	for status := range statuses {
		if strings.HasPrefix(status, "HTTP/1.1 2") {
			t.Errorf("the strangers were answered %v", statuses)
		}
	}
}

// inControlGroup returns the commands with which a shell enters a new control
// group with a memory limit, and a function that tells how often the kernel had
// to end a process in it.
func inControlGroup(t *testing.T, limit int) (enter string, killed func() string) {
	t.Helper()
	parent, limitFile, killsFile := "/sys/fs/cgroup", "memory.max", "memory.events"
	if _, err := os.Stat(parent + "/cgroup.controllers"); err != nil {
		parent, limitFile, killsFile = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"
	}
	group, err := os.MkdirTemp(parent, "kenbun-mcp-test-")
	if err != nil {
		require.SkipUnlessRequired(t, "control groups cannot be made here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(group, limitFile), []byte(strconv.Itoa(limit)), 0o600); err != nil {
		require.SkipUnlessRequired(t, "control groups take no memory limit here: "+err.Error())
	}
	return "echo $$ > " + filepath.Join(group, "cgroup.procs"), func() string {
		events, err := os.ReadFile(filepath.Join(group, killsFile))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(events)) {
			if count, found := strings.CutPrefix(line, "oom_kill "); found {
				return strings.TrimSpace(count)
			}
		}
		return "unknown"
	}
}

// TestA22_StrangersDoNotEndAProcessOf512MB runs the built program under the
// memory limit of our examples.
func TestA22_StrangersDoNotEndAProcessOf512MB(t *testing.T) {
	enter, killed := inControlGroup(t, 512<<20)
	a := startAttacked(t, nil, enter)
	for range 3 {
		a.strangers(150)
	}
	if _, err := a.call(t.Context()); err != nil {
		t.Errorf("a user: %v", err)
	}
	t.Logf("three times 150 strangers: %d MiB at most", a.highWater(t)>>20)
	if n := killed(); n != "0" {
		t.Errorf("the kernel ended %s processes", n)
	}
}

// TestA22_TheMemoryLimitFollowsTheControlGroup looks at what the program says of
// its limit, and that the user's own counts instead.
func TestA22_TheMemoryLimitFollowsTheControlGroup(t *testing.T) {
	enter, _ := inControlGroup(t, 512<<20)
	api := kenbuntest.Start(t)
	for setting, want := range map[string]bool{"": true, "GOMEMLIMIT=300MiB": false} {
		command := exec.Command("/bin/sh", "-ec", enter+`; exec timeout -s INT 2 "$0" http --listen 127.0.0.1:0`, kenbuntest.Binary(t))
		command.Env = append(kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=debug"), setting)
		said, err := command.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := strings.Contains(string(said), "limit_mib=460"); got != want {
			t.Errorf("with %q it says of a limit of 460 MiB: %t, want %t: %s", setting, got, want, said)
		}
	}
}
