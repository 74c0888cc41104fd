package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

const listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

// takenUntilHeldBack sends requests until one is held back, and returns how many
// were not.
func takenUntilHeldBack(t *testing.T, address, pat string) int {
	t.Helper()
	for taken := range 100 {
		answer := postMCP(t, address, pat, listTools)
		if strings.HasPrefix(answer, "HTTP/1.1 429 ") {
			if !strings.Contains(answer, `"error":"rate_limited"`) || !strings.Contains(answer, "\r\nRetry-After: ") {
				t.Errorf("it is held back with %s", answer)
			}
			return taken
		}
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Fatalf("the answer is %s", answer)
		}
	}
	return 100
}

func TestR22_LimitsHoldOverReplicasAndWithoutRedis(t *testing.T) {
	for range 5 {
		if tryLimits(t) {
			return
		}
	}
	t.Error("the servers cannot share their limits at all")
}

// tryLimits reports whether the servers shared their limits while Redis was
// there. A quarter of a second is all that they wait for it: on a machine that
// kept it busy for longer, one has counted by itself, and said so.
func tryLimits(t *testing.T) bool {
	t.Helper()
	d := newDeployment(t)
	// Redis forgets a bucket that is full again. That of an address takes its time
	// for it with 150 requests a minute, of which 25 may come at once.
	limits := []string{"--rate-limit", "1", "--rate-limit-address", "150"}
	one, oneLog := startHTTPLogged(t, d.environment, limits...)
	other, otherLog := startHTTPLogged(t, d.environment, limits...)
	for i := range 10 {
		if answer := postMCP(t, []string{one, other}[i%2], d.ada, listTools); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Fatalf("request %d of ten: %s", i+1, answer)
		}
	}
	tooMany := takenUntilHeldBack(t, one, d.ada) + takenUntilHeldBack(t, other, d.ada)
	ofBen := takenUntilHeldBack(t, other, d.ben)
	dump := d.redis.Dump(t)
	for address, log := range map[string]func() string{one: oneLog, other: otherLog} {
		if strings.Contains(logUpToNow(t, address, log), cannotShare) {
			t.Log("Redis did not answer in time")
			return false
		}
	}
	if tooMany != 0 {
		t.Errorf("%d more than ten requests are taken", tooMany)
	}
	if ofBen != 10 {
		t.Errorf("another user may send %d requests, want 10", ofBen)
	}
	if !strings.Contains(dump, "bucket:user:") || !strings.Contains(dump, "bucket:address:127.0.0.1") {
		t.Errorf("Redis holds %s", dump)
	}
	for _, pat := range []string{d.ada, d.ben} {
		expectNoSecret(t, "Redis", dump, pat)
	}

	d.redis.Stop()
	// Each process has a bucket of its own now, and is no slower for it.
	began := time.Now()
	for _, address := range []string{one, other} {
		if taken := takenUntilHeldBack(t, address, d.ada); taken != 10 {
			t.Errorf("without Redis a process takes %d requests, want 10", taken)
		}
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("22 requests without Redis took %s", took)
	}
	for _, log := range []func() string{oneLog, otherLog} {
		told := func() int { return strings.Count(log(), cannotShare) }
		waitUntil(t, "the outage is told", func() bool { return told() > 0 })
		if n := told(); n != 1 {
			t.Errorf("the outage is told %d times: %s", n, log())
		}
	}
	return true
}

const cannotShare = "rate limits cannot be shared"

// logUpToNow is a server's log with all that it told before now.
func logUpToNow(t *testing.T, address string, log func() string) string {
	t.Helper()
	response, err := http.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	line := "msg=request request_id=" + response.Header.Get("X-Request-Id") + " "
	waitUntil(t, "the last request in the log", func() bool { return strings.Contains(log(), line) })
	return log()
}

func TestTLS_OnANetworkWithoutAProxy(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate := kenbuntest.NewCertificate(t, "127.0.0.1")
	certificate.Write(t, cert, key)
	address, log := startHTTPLogged(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_TLS_CERT_FILE="+cert, "KENBUN_TLS_KEY_FILE="+key),
		"--listen", "0.0.0.0:0")
	if !strings.Contains(log(), "Serving MCP on https://") {
		t.Errorf("it says %s", log())
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certificate.Pool()}, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	request, err := http.NewRequest(http.MethodPost, "https://127.0.0.1:"+port+"/mcp", strings.NewReader(listTools))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "X-API-Key": pat,
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list",
	} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	if response.StatusCode != 200 || response.ProtoMajor != 2 || !strings.Contains(string(body), "whoami") {
		t.Errorf("status %d over %s: %s", response.StatusCode, response.Proto, body)
	}
	if response.Header.Get("X-RateLimit-Limit") != "100" {
		t.Errorf("by default there is a limit of %q", response.Header.Get("X-RateLimit-Limit"))
	}
}

func TestBehindProxy_SaysThatAllClientsCountAsOne(t *testing.T) {
	environment := kenbuntest.Environment(t, "KENBUN_API_URL=http://127.0.0.1:1")
	const warning = "all clients count as one address"
	if _, log := startHTTPLogged(t, environment, "--behind-proxy"); !strings.Contains(log(), warning) {
		t.Errorf("it says %s", log())
	}
	if _, log := startHTTPLogged(t, environment, "--behind-proxy", "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "192.0.2.1"); strings.Contains(log(), warning) {
		t.Errorf("with the proxies named it says %s", log())
	}
}
