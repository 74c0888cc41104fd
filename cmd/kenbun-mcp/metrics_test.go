package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// get returns the body of an answer of any status.
func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return string(body)
}

// metricsAddress is where the program says that it tells metrics.
func metricsAddress(t *testing.T, log string) string {
	t.Helper()
	found := regexp.MustCompile(`Serving metrics on (http://\S+/metrics)`).FindStringSubmatch(log)
	if found == nil {
		t.Fatalf("there are no metrics: %s", log)
	}
	return found[1]
}

func scrapeMetrics(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v, %v: %s", response.StatusCode, err, closing, body)
	}
	return string(body)
}

func expectMetrics(t *testing.T, metrics string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, " ")
			t.Errorf("%q is not in the metrics: %s", line, regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`.*`).FindString(metrics))
		}
	}
}

func TestMetrics_AfterRealCalls(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	address, log := startHTTPLogged(t, append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL), "--metrics-listen", "127.0.0.1:0")
	metrics := metricsAddress(t, log())
	openSession(t, address, pat)
	postMCP(t, address, pat, tracedCall(1, "list_tokens", `{}`))
	postMCP(t, address, pat, tracedCall(2, "list_tokens", `{"limit":0}`))
	postMCP(t, address, pat, tracedCall(3, "create_token", `{"name":"x","expires":"7d"}`))
	postMCP(t, address, "nothing", tracedCall(4, "list_tokens", `{}`))
	for _, path := range []string{"/healthz", "/readyz", "/" + pat} {
		get(t, "http://"+address+path)
	}
	got := scrapeMetrics(t, metrics)
	expectMetrics(t, got,
		`kenbun_mcp_tool_calls_total{outcome="ok",tool="list_tokens"} 1`,
		`kenbun_mcp_tool_calls_total{outcome="invalid_argument",tool="list_tokens"} 1`,
		`kenbun_mcp_tool_calls_total{outcome="ok",tool="create_token"} 1`,
		`kenbun_mcp_tool_calls_total{outcome="ok",tool="revoke_token"} 0`,
		`kenbun_mcp_tool_call_duration_seconds_count{tool="list_tokens"} 2`,
		`kenbun_mcp_http_requests_total{path="/mcp",status="2xx"} 4`,
		`kenbun_mcp_http_requests_total{path="/mcp",status="4xx"} 1`,
		`kenbun_mcp_http_requests_total{path="/readyz",status="2xx"} 1`,
		`kenbun_mcp_http_requests_total{path="/healthz",status="2xx"} 1`,
		`kenbun_mcp_http_requests_total{path="other",status="4xx"} 1`,
		`kenbun_mcp_upstream_calls_total{operation="create_token",outcome="ok"} 1`,
		`kenbun_mcp_upstream_calls_total{operation="reachable",outcome="refused"} 0`,
		`kenbun_mcp_upstream_calls_total{operation="reachable",outcome="ok"} 1`,
		`kenbun_mcp_upstream_retries_total{operation="list_tokens"} 0`,
		`kenbun_mcp_claims_total{event="made"} 1`,
		`kenbun_mcp_claims_total{event="fetched"} 0`,
		`kenbun_mcp_sessions 1`,
		`kenbun_mcp_refused_requests_total{limit="user"} 0`,
	)
	expectNoSecret(t, "the metrics", got, pat)
	if strings.Contains(got, pat[:16]) || strings.Contains(got, "pat_") || strings.Contains(got, "claim_") {
		t.Errorf("the metrics hold an id: %s", got)
	}
	refused, err := http.NewRequest(http.MethodGet, metrics, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused.Host = "evil.example"
	response, err := http.DefaultClient.Do(refused)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("under another name: status %d, %v", response.StatusCode, err)
	}
	if body := get(t, "http://"+address+"/metrics"); !strings.Contains(body, "not_found") {
		t.Errorf("the server itself tells metrics: %s", body)
	}
}

func TestA4_LabelsStayAsTheyAreWhateverIsCalled(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	address, log := startHTTPLogged(t, append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=warn"), "--metrics-listen", "127.0.0.1:0", "--rate-limit", "0", "--rate-limit-address", "0")
	metrics := metricsAddress(t, log())
	lines := func(text string) int { return strings.Count(text, "\nkenbun_mcp_") }
	before := lines(scrapeMetrics(t, metrics))
	const calls = 1000
	for i := range calls {
		postMCP(t, address, pat, tracedCall(i, "tool_"+strings.ToLower(rand.Text()), `{}`))
	}
	after := scrapeMetrics(t, metrics)
	if n := lines(after); n != before || before == 0 {
		t.Errorf("%d lines became %d", before, n)
	}
	expectMetrics(t, after, fmt.Sprintf(`kenbun_mcp_tool_calls_total{outcome="other",tool="other"} %d`, calls))
	if strings.Contains(after, `"tool_`) {
		t.Error("a name that a client made up is a label")
	}
}

func TestMetricsListen_IsChecked(t *testing.T) {
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL=http://127.0.0.1:1")
	if got := runProgram(t, environment, "", "http", "--listen", "127.0.0.1:0", "--metrics-listen", "9090"); got.code != command.ExitUsage || !strings.Contains(got.stderr, "--metrics-listen cannot be") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	if got := runProgram(t, environment, "", "http", "--listen", "127.0.0.1:0", "--metrics-listen", taken.Listener.Addr().String()); got.code == 0 || !strings.Contains(got.stderr, "choose another port with --metrics-listen") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}
