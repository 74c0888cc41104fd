package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kenbun/kenbun-mcp/internal/telemetry"
)

// patience is how long a test waits for what must come. It bounds failures;
// nothing waits for it to pass.
const patience = 20 * time.Second

// collector receives traces over OTLP/HTTP.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	spans    []*tracepb.Span
	resource map[string]string
	// answer is the status of the next answers; 0 for 200.
	answer int
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{resource: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests = append(c.requests, r)
		if c.answer != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.answer)
			return
		}
		if err := c.receive(r); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) receive(r *http.Request) error {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var received tracepb.TracesData
	if err := proto.Unmarshal(data, &received); err != nil {
		return err
	}
	for _, resource := range received.GetResourceSpans() {
		for _, attribute := range resource.GetResource().GetAttributes() {
			c.resource[attribute.GetKey()] = attribute.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return nil
}

// lockedBuffer takes a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func environment(pairs ...string) func(string) string {
	set := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return set[name] }
}

func newTraces(t *testing.T, log io.Writer, pairs ...string) *telemetry.Traces {
	t.Helper()
	traces, err := telemetry.NewTraces(t.Context(), telemetry.TracesConfig{
		Version: "1.2.3", Lookup: environment(pairs...), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

// closeWithin sends the last spans and returns what went wrong.
func closeWithin(t *testing.T, traces *telemetry.Traces, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return traces.Close(ctx)
}

func TestTraces_ReachACollector(t *testing.T) {
	for _, compression := range []string{"", "gzip"} {
		c := newCollector(t)
		var log lockedBuffer
		traces := newTraces(t, &log, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL+"/base", "OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20key, X-Other=b",
			"OTEL_EXPORTER_OTLP_COMPRESSION", compression)
		ctx, end := traces.UpstreamCall(t.Context(), "me")
		parent, _ := traces.TraceContext(ctx)
		traces.ToolOutcome(ctx, "ok", false)
		_, endInner := traces.UpstreamCall(ctx, "list_tokens")
		endInner("unavailable", 503, 4)
		end("", 200, 1)
		if err := closeWithin(t, traces, patience); err != nil || log.String() != "" {
			t.Fatalf("%v, %s", err, log.String())
		}
		if len(c.requests) != 1 || c.requests[0].URL.Path != "/base/v1/traces" || c.requests[0].Header.Get("X-Key") != "a key" || c.requests[0].Header.Get("X-Other") != "b" ||
			c.requests[0].Header.Get("Content-Type") != "application/x-protobuf" || c.requests[0].Method != http.MethodPost {
			t.Fatalf("the requests are %v", c.requests)
		}
		if c.resource["service.name"] != "kenbun-mcp" || c.resource["service.version"] != "1.2.3" {
			t.Errorf("the resource is %v", c.resource)
		}
		if len(c.spans) != 2 {
			t.Fatalf("%d spans", len(c.spans))
		}
		inner, outer := c.spans[0], c.spans[1]
		if fmt.Sprintf("00-%x-%x-01", outer.GetTraceId(), outer.GetSpanId()) != parent || !bytes.Equal(inner.GetParentSpanId(), outer.GetSpanId()) {
			t.Errorf("the parent is %s, the spans are %v and %v", parent, outer, inner)
		}
		if outer.GetName() != "kenbun me" || outer.GetKind() != tracepb.Span_SPAN_KIND_CLIENT || outer.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET {
			t.Errorf("the outer span is %v", outer)
		}
		attributes := map[string]string{}
		for _, attribute := range inner.GetAttributes() {
			attributes[attribute.GetKey()] = attribute.GetValue().GetStringValue() + fmt.Sprint(attribute.GetValue().GetIntValue())
		}
		want := map[string]string{"kenbun.operation": "list_tokens0", "error.type": "unavailable0", "http.response.status_code": "503", "http.request.resend_count": "3"}
		if fmt.Sprint(attributes) != fmt.Sprint(want) || inner.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("the inner span is %v", inner)
		}
	}
}

func TestTraces_AreOffUnlessAskedFor(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, pairs := range map[string][]string{
		"nothing":     nil,
		"no endpoint": {"OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_HEADERS", "a=b"},
		"disabled":    {endpoint, "http://localhost:4318", "OTEL_SDK_DISABLED", "TRUE"},
		"none":        {endpoint, "http://localhost:4318", "OTEL_TRACES_EXPORTER", "none"},
	} {
		traces := newTraces(t, io.Discard, pairs...)
		if traces != nil {
			t.Errorf("%s: there are traces", name)
		}
		// Nothing is made of nothing.
		ctx, end := traces.UpstreamCall(t.Context(), "me")
		traces.ToolOutcome(ctx, "forbidden", true)
		end("", 200, 1)
		if parent, state := traces.TraceContext(ctx); parent != "" || state != "" || traces.Provider() != nil || trace.SpanContextFromContext(ctx).IsValid() {
			t.Errorf("%s: there is a trace", name)
		}
		if err := traces.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if traces := newTraces(t, io.Discard, endpoint, "http://localhost:4318", "OTEL_TRACES_EXPORTER", "otlp,console", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"); traces == nil {
		t.Error("asked for, there are none")
	} else if err := closeWithin(t, traces, patience); err != nil {
		t.Error(err)
	}
}

func TestTraces_SettingsThatCannotBeFollowedAreTold(t *testing.T) {
	const secret = "hunter2"
	for _, pairs := range [][]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318/" + secret},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix://x/" + secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost\x7f:4318/" + secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_TRACES_EXPORTER", "console"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS", secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS", "a=" + secret + "%0d%0ab"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_TIMEOUT", "soon"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere/" + secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS", "a(b)=" + secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_RESOURCE_ATTRIBUTES", secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_RESOURCE_ATTRIBUTES", "a=" + secret + "%zz"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_TRACES_SAMPLER", secret},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "1.1"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "NaN"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_BSP_MAX_QUEUE_SIZE", "-4"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_BSP_MAX_QUEUE_SIZE", "9223372036854775807"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", "OTEL_BSP_SCHEDULE_DELAY", "5s"},
	} {
		traces, err := telemetry.NewTraces(t.Context(), telemetry.TracesConfig{Lookup: environment(pairs...), Logger: slog.New(slog.DiscardHandler)})
		if err == nil || traces != nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), pairs[len(pairs)-2]) {
			t.Errorf("%q: %v", pairs, err)
		}
	}
}

// What OpenTelemetry has programs pass over is named in the log. What would send traces
// past a proxy, or elsewhere than a file of settings says, sends none.
func TestP20_ASettingOfTracesThatIsNotFollowedIsNamed(t *testing.T) {
	const secret = "hunter2"
	endpoint := []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"}
	for name, c := range map[string]struct {
		pairs []string
		named string
		sent  bool
	}{
		"more exporters":         {append(endpoint, "OTEL_TRACES_EXPORTER", "OTLP, zipkin"), "OTEL_TRACES_EXPORTER", true},
		"one without a place":    {[]string{"OTEL_TRACES_EXPORTER", "otlp"}, "OTEL_EXPORTER_OTLP_ENDPOINT", false},
		"neither true nor false": {append(endpoint, "OTEL_SDK_DISABLED", "yes"), "OTEL_SDK_DISABLED", true},
		"other propagators":      {append(endpoint, "OTEL_PROPAGATORS", "b3,none"), "OTEL_PROPAGATORS", true},
		"names in capitals":      {append(endpoint, "OTEL_TRACES_EXPORTER", "OTLP", "OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/protobuf", "OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP", "OTEL_PROPAGATORS", "baggage,TraceContext"), "", true},
	} {
		var log lockedBuffer
		traces := newTraces(t, &log, c.pairs...)
		if text := log.String(); (traces != nil) != c.sent || c.named == "" && text != "" || !strings.Contains(text, c.named) {
			t.Errorf("%s: sent: %t, the log is %q", name, traces != nil, text)
		}
		if err := closeWithin(t, traces, patience); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("HTTP_PROXY", "http://ada:"+secret+"%zz@proxy.example")
	t.Setenv("HTTPS_PROXY", "ftp://"+secret)
	t.Setenv("NO_PROXY", "")
	for named, pairs := range map[string][]string{
		"OTEL_CONFIG_FILE":                  append(endpoint, "OTEL_CONFIG_FILE", "/etc/"+secret),
		"OTEL_EXPERIMENTAL_CONFIG_FILE":     {"OTEL_EXPERIMENTAL_CONFIG_FILE", "/etc/" + secret},
		"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT":   append(endpoint, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", secret),
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": append(endpoint, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1k"),
		"HTTP_PROXY cannot be read":         {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318"},
		"HTTPS_PROXY cannot be read":        {"OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4318"},
	} {
		traces, err := telemetry.NewTraces(t.Context(), telemetry.TracesConfig{Lookup: environment(pairs...), Logger: slog.New(slog.DiscardHandler)})
		if err == nil || traces != nil || !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", named, err)
		}
	}
}

func TestTraces_ACollectorThatFailsIsToldOfOnce(t *testing.T) {
	c := newCollector(t)
	c.answer = http.StatusTemporaryRedirect // which is not followed, the key being for this address
	var log lockedBuffer
	address := strings.Replace(c.URL, "http://", "http://user:hunter2@", 1)
	traces := newTraces(t, &log, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address+"/traces?key=hunter2", "OTEL_EXPORTER_OTLP_HEADERS", "X-Key=hunter2")
	_, end := traces.UpstreamCall(t.Context(), "me")
	end("", 200, 1)
	if err := closeWithin(t, traces, patience); err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "traces cannot be sent") || !strings.Contains(text, "status 307") || strings.Contains(text, "hunter2") {
		t.Errorf("the log is %q", text)
	}
	if len(c.requests) != 1 || c.requests[0].URL.Path != "/traces" {
		t.Errorf("%d requests", len(c.requests))
	}

	c.Close()
	var after lockedBuffer
	traces = newTraces(t, &after, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address+"/traces?key=hunter2")
	_, end = traces.UpstreamCall(t.Context(), "me")
	end("", 200, 1)
	began := time.Now()
	if err := closeWithin(t, traces, 100*time.Millisecond); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("a collector that is away: %v after %s", err, time.Since(began))
	}
	if text := after.String(); strings.Contains(text, "hunter2") {
		t.Errorf("the log is %q", text)
	}
}

func TestTraces_ErrorsDoNotNameTheAddress(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	untrusted.StartTLS()
	defer untrusted.Close()
	var log lockedBuffer
	traces := newTraces(t, &log, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", untrusted.URL+"/hunter2?key=hunter2")
	_, end := traces.UpstreamCall(t.Context(), "me")
	end("", 200, 1)
	if err := closeWithin(t, traces, patience); err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "authority that is not trusted here") || strings.Contains(text, "hunter2") {
		t.Errorf("the log is %q", text)
	}
}
