package telemetry

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// MetricsPath is where the metrics are, on their own listener.
const MetricsPath = "/metrics"

// Handler answers GET on [MetricsPath] with the metrics. It answers requests
// whose Host is localhost, any IP address, or one of hosts (a port in either is
// not looked at): a page that has its own name lead to this address brings that
// name along.
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

// logRefusals gives each request a number, and logs the refused ones with the
// reason.
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
