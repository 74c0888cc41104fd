// Package exchange holds what the API and the web pages share about one HTTP request.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// Exchange is one request and what became of it.
type Exchange struct {
	http.ResponseWriter
	RequestID string
	At        time.Time
	Pattern   string
	TokenID   string // of a personal access token that was accepted
	Prefix    string
	UserID    string
	Refused   string
	Reason    string // why the request was refused, by name
	Fault     string // what went wrong on demand
	Status    int
}

// WriteHeader notes the status.
func (ex *Exchange) WriteHeader(status int) {
	if ex.Status == 0 {
		ex.Status = status
	}
	ex.ResponseWriter.WriteHeader(status)
}

// Write notes that an answer has begun.
func (ex *Exchange) Write(p []byte) (int, error) {
	if ex.Status == 0 {
		ex.Status = http.StatusOK
	}
	return ex.ResponseWriter.Write(p)
}

// Unwrap serves [http.ResponseController].
func (ex *Exchange) Unwrap() http.ResponseWriter { return ex.ResponseWriter }

// Endpoint answers a request, or returns an error for its caller to answer.
type Endpoint func(w http.ResponseWriter, r *http.Request, as domain.Identity) error

// Route is one method at one path.
type Route struct {
	Method  string
	Pattern string // segments; {id} stands for any one that is not empty
	Needs   domain.Permission
	Open    bool // no credential is asked for
	Serve   Endpoint
	Refill  Endpoint // shows the form anew that came from a page of another session; of the web page alone
}

// Table finds the route of a request.
type Table []struct {
	pattern  string
	segments []string
	methods  map[string]Route
	allowed  []string
}

// NewTable returns a table of routes. Patterns match exactly, without redirects to a
// cleaned path, which would have clients send a token again.
func NewTable(routes []Route) Table {
	var table Table
	byPattern := map[string]int{}
	for _, rt := range routes {
		i, known := byPattern[rt.Pattern]
		if !known {
			i = len(table)
			byPattern[rt.Pattern] = i
			table = append(table, struct {
				pattern  string
				segments []string
				methods  map[string]Route
				allowed  []string
			}{pattern: rt.Pattern, segments: strings.Split(rt.Pattern, "/"), methods: map[string]Route{}})
		}
		table[i].methods[rt.Method] = rt
		if rt.Method == http.MethodGet {
			// RFC 9110, section 9.3.2; the server leaves the body out.
			table[i].methods[http.MethodHead] = rt
		}
	}
	for i := range table {
		table[i].allowed = slices.Sorted(maps.Keys(table[i].methods))
	}
	return table
}

// Match finds the route and puts what stands for {id} into r's path values.
func (t Table) Match(r *http.Request) (Route, error) {
	segments := strings.Split(PlainPath(r.URL), "/")
	for _, entry := range t {
		id, ok := matchSegments(entry.segments, segments)
		if !ok {
			continue
		}
		rt, ok := entry.methods[r.Method]
		if !ok {
			return Route{Pattern: entry.pattern}, MethodNotAllowed(entry.allowed)
		}
		r.SetPathValue("id", id)
		return rt, nil
	}
	return Route{}, NoSuchPath()
}

// PlainPath returns the path of an address without doubled slashes at its beginning and
// slashes at its end. A path with an encoded slash is left as it is.
func PlainPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.Path
	}
	return "/" + strings.Trim(u.Path, "/")
}

func matchSegments(pattern, path []string) (id string, ok bool) {
	if len(pattern) != len(path) {
		return "", false
	}
	for i := range pattern {
		switch {
		case pattern[i] == "{id}" && path[i] != "":
			id = path[i]
		case pattern[i] != path[i]:
			return "", false
		}
	}
	return id, true
}

const (
	headerTimeout = 5 * time.Second
	// ReadTimeout is shorter than RequestTimeout, so that a late body does not look
	// like a late store.
	ReadTimeout = 15 * time.Second
	// WriteTimeout is the time for an answer.
	WriteTimeout = 30 * time.Second
	idleTimeout  = time.Minute
	drainTimeout = 5 * time.Second
	maxHeaders   = 16 << 10
)

// Serve answers requests on l until ctx ends, then waits up to five seconds for requests
// under way, and returns nil. It closes l.
func Serve(ctx context.Context, l net.Listener, server *http.Server) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended //nolint:errcheck // always http.ErrServerClosed now
	if err != nil {
		return fmt.Errorf("stop serving on %s: %w", l.Addr(), err)
	}
	return nil
}

// NewServer returns a server with the time limits of the embedded API.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
