package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// collector receives traces over OTLP/HTTP and keeps them.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
	// everything is all that came, as text, headers included.
	everything strings.Builder
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		var received tracepb.TracesData
		if err := proto.Unmarshal(body, &received); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		fmt.Fprintln(&c.everything, r.URL, r.Header, prototext.Format(&received), string(body))
		for _, resource := range received.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// span returns the only span of a name, with its attributes.
func (c *collector) span(t *testing.T, name string) (*tracepb.Span, map[string]string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *tracepb.Span
	var names []string
	for _, span := range c.spans {
		names = append(names, span.GetName())
		if span.GetName() == name && found != nil {
			t.Fatalf("there are two spans %q", name)
		}
		if span.GetName() == name {
			found = span
		}
	}
	if found == nil {
		t.Fatalf("there is no span %q among %q", name, names)
	}
	attributes := map[string]string{}
	for _, attribute := range found.GetAttributes() {
		attributes[attribute.GetKey()] = attribute.GetValue().GetStringValue()
	}
	return found, attributes
}

// apiBehind passes requests on to an API and notes the trace that each is part
// of.
type apiBehind struct {
	*httptest.Server
	mu      sync.Mutex
	parents []string
}

func newAPIBehind(t *testing.T, address string) *apiBehind {
	t.Helper()
	a := &apiBehind{}
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.parents = append(a.parents, r.Header.Get("Traceparent"))
		a.mu.Unlock()
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

func tracedCall(id int, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"traceparent":"00-%s-%s-01",`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`+"\n",
		id, tool, arguments, clientTrace, clientSpan)
}

func TestTraces_LeadFromTheClientToTheAPI(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	for _, transport := range []string{"stdio", "http"} {
		t.Run(transport, func(t *testing.T) {
			c, behind := newCollector(t), newAPIBehind(t, api.URL)
			environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+behind.URL, "KENBUN_PAT="+pat,
				"OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_BSP_SCHEDULE_DELAY=60000")
			calls := []string{tracedCall(1, "list_tokens", `{}`), tracedCall(2, "revoke_token", `{"id":"pat_unknown"}`)}
			if transport == "stdio" {
				if got := runProgram(t, environment, strings.Join(calls, ""), "stdio"); got.code != 0 || got.stderr != "" {
					t.Fatalf("exit code %d: %s", got.code, got.stderr)
				}
			} else {
				t.Run("serve", func(t *testing.T) { // its end sends the last traces
					address, _ := startHTTPLogged(t, environment)
					for _, call := range calls {
						postMCP(t, address, pat, call)
					}
				})
			}
			listed, attributes := c.span(t, "tools/call list_tokens")
			if hex.EncodeToString(listed.GetTraceId()) != clientTrace || hex.EncodeToString(listed.GetParentSpanId()) != clientSpan {
				t.Errorf("the span of the call is %v", listed)
			}
			if fmt.Sprint(attributes) != "map[gen_ai.tool.name:list_tokens mcp.method.name:tools/call]" {
				t.Errorf("its attributes are %v", attributes)
			}
			if refused, attributes := c.span(t, "tools/call revoke_token"); attributes["error.type"] != "not_found" || refused.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
				t.Errorf("the span of the failed call is %v", refused)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			upstream := 0
			for _, span := range c.spans {
				if span.GetName() != "kenbun list_tokens" || hex.EncodeToString(span.GetTraceId()) != clientTrace {
					continue
				}
				upstream++
				if want := fmt.Sprintf("00-%s-%x-01", clientTrace, span.GetSpanId()); !strings.Contains(strings.Join(behind.parents, " "), want) {
					t.Errorf("the API was not told of %s: %q", want, behind.parents)
				}
			}
			if upstream != 2 {
				t.Errorf("%d spans of calls of the API, want 2: %v", upstream, c.spans)
			}
		})
	}
}

func TestTraces_AreNotPassedOnUnlessTheyAreOn(t *testing.T) {
	api := kenbuntest.Start(t)
	behind := newAPIBehind(t, api.URL)
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+behind.URL, "KENBUN_PAT="+api.User(t, "ada@example.com", authority.RoleMember))
	for _, more := range [][]string{nil, {"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER=none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}} {
		behind.parents = nil
		got := runProgram(t, append(environment, more...), tracedCall(1, "list_tokens", `{}`), "stdio")
		if got.code != 0 || !strings.Contains(got.stdout, "first") || len(behind.parents) == 0 || strings.Join(behind.parents, "") != "" {
			t.Errorf("%q: exit code %d, parents %q, %s", more, got.code, behind.parents, got.stdout)
		}
		if told := strings.Contains(got.stderr, "no traces are sent"); told != (len(more) > 0 && strings.HasSuffix(more[1], "grpc")) {
			t.Errorf("%q: %s", more, got.stderr)
		}
	}
}

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

// openSession opens a session of an older protocol.
func openSession(t *testing.T, address, pat string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/mcp", strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	request.Header.Set("X-API-Key", pat)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.Header.Get("Mcp-Session-Id") == "" {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
}

// metricsAddress is where the program says that it tells metrics.
func metricsAddress(t *testing.T, log string) string {
	t.Helper()
	found := regexp.MustCompile(`Telling metrics on (http://\S+/metrics)`).FindStringSubmatch(log)
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
	address, log := startHTTPLogged(t, append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=warn"), "--metrics-listen", "127.0.0.1:0")
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
	if got := runProgram(t, environment, "", "http", "--listen", "127.0.0.1:0", "--metrics-listen", "9090"); got.code != exitUsage || !strings.Contains(got.stderr, "--metrics-listen cannot be") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	if got := runProgram(t, environment, "", "http", "--listen", "127.0.0.1:0", "--metrics-listen", taken.Listener.Addr().String()); got.code == 0 || !strings.Contains(got.stderr, "choose another port with --metrics-listen") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}

func TestR1_SecretsAreInNoMetricTraceOrLog(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			c := newCollector(t)
			environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=debug", "KENBUN_LOG_FORMAT="+format,
				"KENBUN_DELIVER=inline", "KENBUN_MAX_CHANGES_PER_MINUTE=0", "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)
			var metrics string
			var log func() string
			values := []string{pat}
			t.Run("serve", func(t *testing.T) {
				var address string
				address, log = startHTTPLogged(t, environment, "--metrics-listen", "127.0.0.1:0")
				answer := postMCP(t, address, pat, tracedCall(1, "create_token", `{"name":"canary","expires":"30d"}`))
				made := regexp.MustCompile(`kbn_pat_[0-9A-Za-z]{30,}`).FindString(answer)
				if made == "" {
					t.Fatalf("no token was made: %s", answer)
				}
				values = append(values, made)
				for i, call := range []string{
					tracedCall(2, "list_tokens", `{"cursor":"`+pat+`"}`), tracedCall(3, "revoke_token", `{"id":"`+pat+`"}`),
					tracedCall(4, pat, `{}`), tracedCall(5, "create_token", `{"`+pat+`":"`+made+`"}`),
					strings.ReplaceAll(tracedCall(6, "whoami", `{}`), clientTrace, pat),
					strings.ReplaceAll(tracedCall(7, "whoami", `{}`), `"_meta":{`, `"_meta":{"tracestate":"k=`+pat+`","baggage":"k=`+pat+`",`),
					strings.ReplaceAll(tracedCall(8, "whoami", `{}`), "tools/call", pat),
				} {
					postMCPWith(t, address, pat, call, [2]string{[]string{"Tracestate", "Baggage", "Traceparent", "X-Request-Id"}[i%4], pat})
				}
				get(t, "http://"+address+"/"+pat+"?token="+pat)
				metrics = scrapeMetrics(t, metricsAddress(t, log()))
			})
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.spans) < 8 || !strings.Contains(log(), "request") {
				t.Fatalf("%d spans, and the log %s", len(c.spans), log())
			}
			for _, value := range values {
				expectNoSecret(t, "the metrics", metrics, value)
				expectNoSecret(t, "the traces", c.everything.String(), value)
				expectNoSecret(t, "the log", log(), value)
			}
		})
	}
}

func TestLogFormat_IsAsAskedFor(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat, "KENBUN_LOG_LEVEL=info")
	call := tracedCall(1, "revoke_token", `{"id":"pat_unknown"}`)
	if got := runProgram(t, environment, call, "stdio", "--log-format", "json"); !strings.HasPrefix(got.stderr, `{"time":"`) || !strings.Contains(got.stderr, `"code":"not_found"`) {
		t.Errorf("json: %s", got.stderr)
	}
	if got := runProgram(t, environment, call, "stdio"); !strings.HasPrefix(got.stderr, "time=") || !strings.Contains(got.stderr, "code=not_found") {
		t.Errorf("text: %s", got.stderr)
	}
	if got := runProgram(t, environment, "", "stdio", "--log-format", "xml"); got.code != exitUsage || !strings.Contains(got.stderr, "--log-format") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}
