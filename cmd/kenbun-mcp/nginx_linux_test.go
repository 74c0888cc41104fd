package main

// Only Linux has all of 127.0.0.0/8 without being told to.

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// startNginx puts nginx, as its manual tells, in front of upstream until the
// test ends, and returns its address.
func startNginx(t *testing.T, upstream string) string {
	t.Helper()
	require.Long(t, "it starts nginx")
	program, err := exec.LookPath("nginx")
	if err != nil {
		kenbuntest.SkipUnlessRequired(t, "there is no nginx on this machine")
	}
	address := kenbuntest.FreeAddress(t)
	dir := t.TempDir()
	config := fmt.Sprintf(`
		daemon off;
		pid nginx.pid;
		error_log stderr;
		events {}
		http {
			access_log off;
			client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
			server {
				listen %s;
				location / {
					proxy_pass http://%s;
					proxy_set_header Host $http_host;
					proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
				}
			}
		}`, address, upstream)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	command := exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := command.Wait(); err != nil {
			t.Errorf("nginx ended with %v: %s", err, said.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			if err := connection.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not get ready")
		}
	}
}

func TestA42_BehindNginxEachClientCountsForItself(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	upstream := startHTTP(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL), "--behind-proxy", "--trusted-proxy", "127.0.0.1", "--rate-limit", "0", "--rate-limit-address", "1")
	address := startNginx(t, upstream)
	send := func(from, says string) int {
		t.Helper()
		transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequest(http.MethodPost, "http://"+address+"/mcp", strings.NewReader(listTools))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + pat,
			"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list", "X-Forwarded-For": says, "X-Real-Ip": says, "Forwarded": "for=" + says,
		} {
			request.Header.Set(name, value)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	for i := range 12 {
		want := http.StatusOK
		if i >= 10 {
			want = http.StatusTooManyRequests
		}
		if status := send("127.0.0.5", fmt.Sprintf("198.51.100.%d", i)); status != want {
			t.Errorf("request %d: status %d, want %d", i+1, status, want)
		}
	}
	if status := send("127.0.0.6", "127.0.0.5"); status != http.StatusOK {
		t.Errorf("another client: status %d", status)
	}
}
