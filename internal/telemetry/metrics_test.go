package telemetry_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kenbun/kenbun-mcp/internal/telemetry"
)

func newMetrics() *telemetry.Metrics {
	return telemetry.NewMetrics(telemetry.Config{
		Version: "1.2.3", Tools: []string{"whoami", "list_tokens"}, Outcomes: []string{"ok", "forbidden"}, Operations: []string{"me"},
	})
}

// scrape reads the metrics as Prometheus does, those of Go and of the process
// left out.
func scrape(t *testing.T, m *telemetry.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/metrics", nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name := range families {
		if !strings.HasPrefix(name, "kenbun_mcp_") {
			delete(families, name)
		}
	}
	return families
}

// value is a counter's or gauge's value, or how often a histogram was told
// something; labels are "name=value".
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, metric := range families["kenbun_mcp_"+name].GetMetric() {
		matching := 0
		for _, pair := range metric.GetLabel() {
			for _, label := range labels {
				if label == pair.GetName()+"="+pair.GetValue() {
					matching++
				}
			}
		}
		if matching == len(labels) {
			return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	t.Errorf("there is no %s with %q", name, labels)
	return -1
}

func series(families map[string]*dto.MetricFamily) int {
	n := 0
	for _, family := range families {
		n += len(family.GetMetric())
	}
	return n
}

func TestMetrics_CountWhatTheyAreTold(t *testing.T) {
	m := newMetrics()
	open := 3
	m.Sessions(func() int { return open })
	m.ToolCall("whoami", "ok", time.Second)
	m.ToolCall("whoami", "forbidden", time.Second)
	m.Request("/mcp", 200)
	m.Request("/mcp", 404)
	m.Request("/mcp", 499)
	m.Request("/mcp", 0)
	m.UpstreamCall("me", "ok", 1, time.Second)
	m.UpstreamCall("me", "unavailable", 4, time.Second)
	m.UpstreamCall("me", "canceled", 0, 0)
	m.Claim("made")
	m.Refused("user")
	got := scrape(t, m)
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "tool_calls_total", []string{"tool=whoami", "outcome=ok"}}, {1, "tool_calls_total", []string{"tool=whoami", "outcome=forbidden"}},
		{0, "tool_calls_total", []string{"tool=list_tokens", "outcome=ok"}}, {2, "tool_call_duration_seconds", []string{"tool=whoami"}},
		{1, "http_requests_total", []string{"path=/mcp", "status=2xx"}}, {2, "http_requests_total", []string{"path=/mcp", "status=4xx"}},
		{1, "http_requests_total", []string{"path=/mcp", "status=5xx"}}, {0, "http_requests_total", []string{"path=/readyz", "status=5xx"}},
		{1, "upstream_calls_total", []string{"operation=me", "outcome=ok"}}, {1, "upstream_calls_total", []string{"operation=me", "outcome=unavailable"}},
		{0, "upstream_calls_total", []string{"operation=me", "outcome=canceled"}},
		{2, "upstream_call_duration_seconds", []string{"operation=me"}}, {3, "upstream_retries_total", []string{"operation=me"}},
		{1, "claims_total", []string{"event=made"}}, {1, "refused_requests_total", []string{"limit=user"}}, {3, "sessions", nil},
		{1, "build_info", []string{"version=1.2.3"}},
	} {
		if v := value(t, got, c.name, c.labels...); v != c.want {
			t.Errorf("%s %q is %g, want %g", c.name, c.labels, v, c.want)
		}
	}
}

func TestA4_NoLabelComesFromOutside(t *testing.T) {
	m := newMetrics()
	before := series(scrape(t, m))
	const times = 1000
	for range times {
		word := rand.Text()
		m.ToolCall(word, word, time.Second)
		m.Request("/"+word, 200)
		m.UpstreamCall(word, word, 2, time.Second)
		m.Claim(word)
		m.Refused(word)
	}
	got := scrape(t, m)
	if after := series(got); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	for name, labels := range map[string][]string{
		"tool_calls_total": {"tool=other", "outcome=other"}, "http_requests_total": {"path=other", "status=2xx"},
		"upstream_calls_total": {"operation=other", "outcome=other"}, "upstream_retries_total": {"operation=other"},
		"claims_total": {"event=other"}, "refused_requests_total": {"limit=other"},
	} {
		if v := value(t, got, name, labels...); v != times {
			t.Errorf("%s %q is %g, want %d", name, labels, v, times)
		}
	}
}

func TestMetrics_NilCountsNothing(*testing.T) {
	var m *telemetry.Metrics
	m.ToolCall("whoami", "ok", time.Second)
	m.Request("/mcp", 200)
	m.UpstreamCall("me", "ok", 1, time.Second)
	m.Claim("made")
	m.Refused("user")
	m.Sessions(func() int { return 1 })
}

func TestMetrics_AreNamedAsPrometheusAsksFor(t *testing.T) {
	m := newMetrics()
	m.Sessions(func() int { return 0 })
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/metrics", nil))
	problems, err := promlint.New(recorder.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestA10_MetricsAnswerUnderNamesOfTheirOwnOnly(t *testing.T) {
	handler := newMetrics().Handler("metrics.internal:9090", "Kenbun")
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9090": 200, "LOCALHOST:1": 200, "127.0.0.1:9090": 200, "[::1]:9090": 200, "[::1]": 200, "10.1.2.3:9090": 200,
		"metrics.internal": 200, "metrics.internal:9090": 200, "kenbun:1": 200,
		"evil.example": 403, "evil.example:9090": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "localhost.": 403,
		"": 403, "127.1": 403, "2130706433": 403, "xkenbun": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/metrics", nil)
		r.Host = host
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		if recorder.Code != want || (want != 200) == strings.Contains(recorder.Body.String(), "kenbun_mcp_") {
			t.Errorf("Host %q: status %d, want %d", host, recorder.Code, want)
		}
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"HEAD", "/metrics", 200}, {"POST", "/metrics", 405}, {"GET", "/", 404}, {"GET", "/metrics/x", 404}, {"GET", "/debug/pprof/", 404},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), c.method, "http://localhost"+c.path, nil))
		if recorder.Code != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, recorder.Code, c.want)
		}
	}
}

func TestServe_EndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- telemetry.Serve(ctx, listener, newMetrics().Handler(), slog.New(slog.DiscardHandler))
	}()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("http://" + listener.Addr().String() + telemetry.MetricsPath)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(body), "\ngo_goroutines ") || !strings.Contains(string(body), `kenbun_mcp_build_info{go_version="go1.`) {
		t.Errorf("%v: %s", err, body)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestP11_RefusedRequestsForMetricsLeaveTheReasonInTheLog(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	reading, writing, err := os.Pipe() // which holds a few lines, so that no request waits
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- telemetry.Serve(ctx, listener, newMetrics().Handler(), slog.New(slog.NewTextHandler(writing, nil)))
	}()
	defer func() { _, _ = reading.Close(), writing.Close() }() // nothing more is read
	lines := bufio.NewScanner(reading)
	for reason, path := range map[string]string{"forbidden_host": "/metrics", "not_found": "/other"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if reason == "forbidden_host" {
			r.Host = "evil.example"
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close() // its head is all that counts
		if id := response.Header.Get("X-Request-Id"); !lines.Scan() || id == "" || !strings.Contains(lines.Text(), "level=INFO") ||
			!strings.Contains(lines.Text(), "reason="+reason) || !strings.Contains(lines.Text(), "request_id="+id) {
			t.Errorf("%s: the log has %q", reason, lines.Text())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
