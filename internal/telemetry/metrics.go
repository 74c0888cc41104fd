// Package telemetry shows operators what the server does: metrics in the format
// of Prometheus, and traces over OTLP.
//
// Nothing that a client, a user or the API wrote becomes a label, an attribute or
// a name. Values come out of closed sets; all others are "other".
package telemetry

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// other stands for every value that is not in its set.
const other = "other"

// The sets of values that are the same for every server.
var (
	requestPaths    = []string{"/mcp", "/claim/", "/healthz", "/readyz", other}
	statusClasses   = []string{"1xx", "2xx", "3xx", "4xx", "5xx"}
	upstreamResults = []string{"ok", "refused", "rate_limited", "unavailable", "unexpected_answer", "canceled", other}
	claimEvents     = []string{"made", "fetched", "expired", "taken_back", "contested", other}
	limits          = []string{"user", "address", "failures", "connections", "bodies", "sessions", other}
)

// callBuckets are in seconds: from one call of the API to waiting for a user.
var callBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// upstreamBuckets are in seconds; a call with all its tries can take a minute.
var upstreamBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// Config has the version and the label values of [Metrics].
type Config struct {
	// Version is the program's.
	Version string
	// Tools are the names of the tools on offer.
	Tools []string
	// Outcomes are what a tool call can end with.
	Outcomes []string
	// Operations are what the API can be asked.
	Operations []string
}

// Metrics counts what happens. Methods may be called concurrently, and on nil, which counts
// nothing.
type Metrics struct {
	registry *prometheus.Registry
	config   Config

	toolCalls        *prometheus.CounterVec
	toolDuration     *prometheus.HistogramVec
	requests         *prometheus.CounterVec
	upstreamCalls    *prometheus.CounterVec
	upstreamDuration *prometheus.HistogramVec
	upstreamRetries  *prometheus.CounterVec
	claims           *prometheus.CounterVec
	refused          *prometheus.CounterVec
}

// NewMetrics returns metrics at zero. Every label value exists from the start, so that a
// rate over a rare event is right the first time it happens.
func NewMetrics(config Config) *Metrics {
	config.Tools = append(slices.Clone(config.Tools), other)
	config.Outcomes = append(slices.Clone(config.Outcomes), other)
	config.Operations = append(slices.Clone(config.Operations), other)
	m := &Metrics{
		registry: prometheus.NewRegistry(), config: config,
		toolCalls: counter("tool_calls_total", "Tool calls by tool and by how they ended: ok, input_required or an error code.", "tool", "outcome"),
		toolDuration: histogram("tool_call_duration_seconds", "How long tool calls took, the time in which a person was asked included.",
			callBuckets, "tool"),
		requests:      counter("http_requests_total", "HTTP requests by path and class of status.", "path", "status"),
		upstreamCalls: counter("upstream_calls_total", "Calls of the kenbun API, retries not counted, by what was asked and how it ended.", "operation", "outcome"),
		upstreamDuration: histogram("upstream_call_duration_seconds", "How long calls of the kenbun API took, retries and the pauses before them included.",
			upstreamBuckets, "operation"),
		upstreamRetries: counter("upstream_retries_total", "Requests that were sent to the kenbun API again.", "operation"),
		claims: counter("claims_total", "New tokens that wait for their users: made, fetched, expired (nobody came), taken_back (could not be handed over), contested (tried a second time).",
			"event"),
		refused: counter("refused_requests_total", "Requests that a limit refused: of a user, of an address, of failed attempts, of connections, of bodies, of sessions.", "limit"),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "kenbun_mcp_build_info", Help: "Always 1; the labels tell the version of the program and of Go.",
	}, []string{"version", "go_version"})
	build.WithLabelValues(config.Version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
		m.toolCalls, m.toolDuration, m.requests, m.upstreamCalls, m.upstreamDuration, m.upstreamRetries, m.claims, m.refused,
	)
	m.startAtZero()
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kenbun_mcp_" + name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kenbun_mcp_" + name, Help: help, Buckets: buckets}, labels)
}

func (m *Metrics) startAtZero() {
	each := func(values []string, do func(string)) {
		for _, value := range values {
			do(value)
		}
	}
	each(m.config.Tools, func(tool string) {
		m.toolDuration.WithLabelValues(tool)
		each(m.config.Outcomes, func(outcome string) { m.toolCalls.WithLabelValues(tool, outcome) })
	})
	each(requestPaths, func(path string) {
		each(statusClasses, func(status string) { m.requests.WithLabelValues(path, status) })
	})
	each(m.config.Operations, func(operation string) {
		m.upstreamDuration.WithLabelValues(operation)
		m.upstreamRetries.WithLabelValues(operation)
		each(upstreamResults, func(outcome string) { m.upstreamCalls.WithLabelValues(operation, outcome) })
	})
	each(claimEvents, func(event string) { m.claims.WithLabelValues(event) })
	each(limits, func(limit string) { m.refused.WithLabelValues(limit) })
}

// within returns value if it is in its set, else "other".
func within(set []string, value string) string {
	if slices.Contains(set, value) {
		return value
	}
	return other
}

// ToolCall counts a call of a tool. outcome is one of [Config.Outcomes].
func (m *Metrics) ToolCall(tool, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	tool = within(m.config.Tools, tool)
	m.toolCalls.WithLabelValues(tool, within(m.config.Outcomes, outcome)).Inc()
	m.toolDuration.WithLabelValues(tool).Observe(took.Seconds())
}

// Request counts an HTTP request by its path, if it is one of the server's, and its status.
func (m *Metrics) Request(path string, status int) {
	if m == nil {
		return
	}
	class := "5xx"
	if i := status/100 - 1; i >= 0 && i < len(statusClasses) {
		class = statusClasses[i]
	}
	m.requests.WithLabelValues(within(requestPaths, path), class).Inc()
}

// UpstreamCall counts a call of the API that was sent tries times, unless that is zero. The
// outcomes are ok, refused, rate_limited, unavailable, unexpected_answer and canceled.
func (m *Metrics) UpstreamCall(operation, outcome string, tries int, took time.Duration) {
	if m == nil || tries < 1 {
		return
	}
	operation = within(m.config.Operations, operation)
	m.upstreamCalls.WithLabelValues(operation, within(upstreamResults, outcome)).Inc()
	m.upstreamDuration.WithLabelValues(operation).Observe(took.Seconds())
	if tries > 1 {
		m.upstreamRetries.WithLabelValues(operation).Add(float64(tries - 1))
	}
}

// Claim counts an event of a new token: made, fetched, expired, taken_back or contested.
func (m *Metrics) Claim(event string) {
	if m == nil {
		return
	}
	m.claims.WithLabelValues(within(claimEvents, event)).Inc()
}

// Refused counts a request refused by a limit: user, address, failures, connections, bodies
// or sessions.
func (m *Metrics) Refused(limit string) {
	if m == nil {
		return
	}
	m.refused.WithLabelValues(within(limits, limit)).Inc()
}

// Sessions reports at each scrape how many sessions of older protocols are open. Call it
// once.
func (m *Metrics) Sessions(open func() int) {
	if m == nil {
		return
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kenbun_mcp_sessions", Help: "Sessions of clients of protocols before 2026-07-28 that are open.",
	}, func() float64 { return float64(open()) }))
}

// exposition answers with all metrics, whatever the path.
func (m *Metrics) exposition() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// MetricsPath is where the metrics are, on their own listener.
const MetricsPath = "/metrics"

// Handler answers GET on [MetricsPath] with the metrics. The Host, without its port, must be
// localhost, an IP address, or one of hosts: this refuses pages that resolve their own name
// to this address.
func (m *Metrics) Handler(hosts ...string) http.Handler {
	names := []string{"localhost"}
	for _, host := range hosts {
		names = append(names, ascii.Lower(withoutPort(host)))
	}
	exposition := m.exposition()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := withoutPort(r.Host)
		_, err := netip.ParseAddr(host)
		switch {
		case err != nil && !slices.Contains(names, ascii.Lower(host)):
			http.Error(w, "metrics are not told under this name", http.StatusForbidden)
		case r.URL.Path != MetricsPath:
			http.Error(w, "the metrics are at "+MetricsPath, http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
		default:
			w.Header().Set("X-Content-Type-Options", "nosniff")
			exposition.ServeHTTP(w, r)
		}
	})
}

// withoutPort returns the name or the address in a Host header.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	if name, ok := strings.CutPrefix(host, "["); ok {
		return strings.TrimSuffix(name, "]")
	}
	if strings.Contains(host, ":") {
		return "" // an IPv6 address without brackets, or nothing that could be told apart from a port
	}
	return host
}

// Bounds of one scrape.
const (
	scrapeTimeout    = 10 * time.Second
	maxScrapeHeader  = 16 << 10
	scrapeKeepAlive  = 2 * time.Minute
	scrapeEndTimeout = time.Second
)

// refused names why a request for metrics was refused, by the status of the answer.
var refused = map[int]string{
	http.StatusForbidden: "forbidden_host", http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed",
}

// logRefusals gives each request an id, and logs the refused ones with the reason.
func logRefusals(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text()[:16]
		w.Header().Set("X-Request-Id", id)
		recorder := &statusRecorder{ResponseWriter: w}
		next.ServeHTTP(recorder, r)
		if reason, ok := refused[recorder.status]; ok {
			logger.Info("request for metrics", "request_id", id, "status", recorder.status, "reason", reason)
		}
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Serve answers requests on listener with handler until ctx is done.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           logRefusals(handler, logger),
		ReadHeaderTimeout: scrapeTimeout,
		ReadTimeout:       scrapeTimeout,
		WriteTimeout:      scrapeTimeout,
		IdleTimeout:       scrapeKeepAlive,
		MaxHeaderBytes:    maxScrapeHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve metrics: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), scrapeEndTimeout)
	defer cancel()
	if server.Shutdown(ending) != nil {
		return server.Close() // a scrape that takes longer is not worth waiting for
	}
	return nil
}
