package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
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

// forget forgets what came so far.
func (c *collector) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = nil
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
	require.Long(t, "it runs the built program")
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
				for range 5 {
					c.forget()
					var log func() string
					t.Run("serve", func(t *testing.T) { // its end sends the last traces
						var address string
						address, log = startHTTPLogged(t, environment)
						for _, call := range calls {
							postMCP(t, address, pat, call)
						}
					})
					// After a signal there are 0.3 s for it, which may be too few for a machine
					// that is busy with something else.
					if !strings.Contains(log(), "the last traces are lost") {
						break
					}
				}
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

// A collector that never answers must not keep an assistant from ending its
// server.
func TestTraces_ASilentCollectorHoldsUpNoEnd(t *testing.T) {
	silence := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silence }))
	defer silent.Close()
	defer close(silence)
	api := kenbuntest.Start(t)
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.User(t, "ada@example.com", authority.RoleMember),
		"OTEL_EXPORTER_OTLP_ENDPOINT="+silent.URL)
	kenbuntest.Within(t, time.Second, 3, "the end", func() time.Duration { return endOfATracedCall(t, environment) })
}

// endOfATracedCall is how long the program takes for its end when a signal comes
// after a call.
func endOfATracedCall(t *testing.T, environment []string) time.Duration {
	t.Helper()
	program := startStdioProgram(t, environment)
	program.ask(t, tracedCall(1, "whoami", `{}`))
	began := time.Now()
	if err := program.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
	return time.Since(began)
}
