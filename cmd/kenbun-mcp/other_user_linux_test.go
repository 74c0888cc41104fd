package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// insideNamespaces marks the process in which a test runs by itself.
const insideNamespaces = "KENBUN_TEST_INSIDE_NAMESPACES"

// inNamespaces runs the calling test once more as a process with a network and a
// mount namespace of its own, and reports whether this is that process.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideNamespaces) != "" {
		if output, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("ip link set lo up: %v: %s", err, output)
		}
		return true
	}
	if os.Geteuid() != 0 {
		kenbuntest.SkipUnlessRequired(t, "only root can make namespaces and act as another user")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		kenbuntest.SkipUnlessRequired(t, "there is no ip (iproute2) on this machine")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	command.Env = append(os.Environ(), insideNamespaces+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("in its own namespaces: %v\n%s", err, output)
	}
	return false
}

// ownServer is a server that acts with ada's token, and its key.
type ownServer struct {
	address, key string
	log          func() string
}

// startOwn starts the program with --identity server, by way of a command that
// prepares for it, if there is one.
func startOwn(t *testing.T, api *kenbuntest.API, pat string, prepare ...string) ownServer {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "data", "server.key")
	arguments := []string{"--identity", "server", "--server-key-file", keyFile, "--approval", "client", "--rate-limit", "12", "--rate-limit-address", "12"}
	address, log := startHTTPAs(t, nil, prepare, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat), arguments...)
	key, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return ownServer{address, strings.TrimSpace(string(key)), log}
}

// request writes a tool call with the server's key, if it is not "".
func (s ownServer) request(key, tool, arguments string) string {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, arguments)
	header := ""
	if key != "" {
		header = "Authorization: Bearer " + key + "\r\n"
	}
	return "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" +
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: " + tool + "\r\n" + header +
		fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// ask sends a request as a user and returns the status and the body.
func (s ownServer) ask(t *testing.T, uid, family int, request string) (int, string) {
	t.Helper()
	connection := kenbuntest.DialAs(t, uid, family, s.address)
	defer connection.Close()
	if _, err := io.WriteString(connection, request); err != nil {
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
	return response.StatusCode, string(body)
}

// Another user of the machine neither lists, nor creates, nor revokes through a
// server that acts with its owner's token, even with the key, and does not use
// up the owner's limits.
func TestA46_AnotherUserDoesNotPassAsTheServersOwn(t *testing.T) {
	require.Long(t, "it runs the built program")
	if !inNamespaces(t) {
		return
	}
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	target := api.Token(t, "ada@example.com", "target", nil)
	s := startOwn(t, api, pat)
	if !regexp.MustCompile(`^kms_[A-Z2-7]{26}$`).MatchString(s.key) {
		t.Fatal("the server's key has another form than expected")
	}
	if strings.Contains(s.log(), s.key) {
		t.Error("the server tells its key")
	}
	requests := map[string]string{
		"list_tokens": "{}", "create_token": `{"name":"stolen","expires":"7d"}`, "revoke_token": `{"id":"` + target.ID + `"}`,
	}
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		for tool, arguments := range requests {
			if status, body := s.ask(t, kenbuntest.SomeoneElse, family, s.request("", tool, arguments)); status != http.StatusUnauthorized {
				t.Errorf("family %d, %s without the key: %d %s", family, tool, status, body)
			}
			if status, body := s.ask(t, kenbuntest.SomeoneElse, family, s.request(s.key, tool, arguments)); status != http.StatusForbidden {
				t.Errorf("family %d, %s with the key: %d %s", family, tool, status, body)
			}
		}
	}
	// Nobody waits for these answers.
	for i := range 60 {
		connection := kenbuntest.DialAs(t, kenbuntest.SomeoneElse, []int{syscall.AF_INET, syscall.AF_INET6}[i%2], s.address)
		if i%3 == 0 {
			if err := connection.SetLinger(0); err != nil { // RST in the place of FIN
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(connection, s.request(s.key, "create_token", `{"name":"stolen","expires":"7d"}`)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 {
			defer connection.Close()
			if err := connection.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		} else if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The owner's limit is ten at once.
	for range 5 {
		status, body := s.ask(t, os.Geteuid(), syscall.AF_INET, s.request(s.key, "list_tokens", "{}"))
		if status != http.StatusOK || !strings.Contains(body, "target") || strings.Contains(body, "stolen") {
			t.Errorf("the owner's list: %d %s", status, body)
		}
	}
	if status, _ := s.ask(t, os.Geteuid(), syscall.AF_INET, s.request("", "list_tokens", "{}")); status != http.StatusUnauthorized {
		t.Errorf("the owner without the key: %d", status)
	}
	if _, err := api.As(t, target.Value).Me(t.Context()); err != nil {
		t.Errorf("the token that another user tried to revoke: %v", err)
	}
}

// Where the system does not show whose connections there are, nobody is let in.
func TestA46_WithoutProcNobodyPassesAsTheServersOwn(t *testing.T) {
	require.Long(t, "it runs the built program")
	if !inNamespaces(t) {
		return
	}
	api := kenbuntest.Start(t)
	s := startOwn(t, api, api.User(t, "ada@example.com", authority.RoleMember),
		"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs none /proc && exec "$0" "$@"`)
	for _, uid := range []int{os.Geteuid(), kenbuntest.SomeoneElse} {
		if status, body := s.ask(t, uid, syscall.AF_INET, s.request(s.key, "list_tokens", "{}")); status != http.StatusForbidden {
			t.Errorf("user %d: %d %s", uid, status, body)
		}
	}
}
