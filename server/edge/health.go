package edge

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Paths of the probes, which anyone may ask.
const (
	// HealthPath shows that the process runs.
	HealthPath = "/healthz"
	// ReadyPath shows whether requests have a chance.
	ReadyPath = "/readyz"
)

// How readiness is found out.
const (
	// readyFor is how long an outcome counts before the probe runs again.
	readyFor = 5 * time.Second
	// readyAtMost is how long a success counts while a probe does not return.
	readyAtMost = 15 * time.Second
	// readyTimeout bounds one probe.
	readyTimeout = 5 * time.Second
	// readyPatience is how long a request waits for the probe.
	readyPatience = time.Second
)

// Why a server is not ready. A probe may return further reasons.
const (
	reasonDraining = "draining"
	// Silent means that a probe did not return in time.
	Silent = "api_silent"
)

// Readiness shows whether the server can do its work. It probes only when it is
// asked, one probe at a time.
type Readiness struct {
	probe func(context.Context) (reason string)
	// Now is the clock, and Patience is how long a request waits for the probe.
	// Tests change them.
	Now      func() time.Time
	Patience time.Duration

	mu sync.Mutex
	// probing is closed when the current probe has returned, nil if there is none.
	probing chan struct{}
	// probed is when the last probe began.
	probed time.Time
	// reason is why that one failed, empty if it did not.
	reason string
	// reached is when a probe last succeeded.
	reached time.Time
}

// NewReadiness returns the readiness of a server for which probe returns why it
// cannot do its work, or nothing if it can.
func NewReadiness(probe func(context.Context) (reason string)) *Readiness {
	return &Readiness{Now: time.Now, Patience: readyPatience, probe: probe}
}

// Probes answers [HealthPath] and [ReadyPath] whatever Host and Origin are: the
// answers hold no data, and load balancers send any Host.
func (r *Readiness) Probes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		path := PlainPath(request.URL)
		switch {
		case path == ReadyPath && IsRead(request):
			r.ServeHTTP(w, request)
		case path == HealthPath && IsRead(request):
			WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
		default:
			next.ServeHTTP(w, request)
		}
	})
}

// ServeHTTP answers 200 or 503.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if reason := r.check(request.Context()); reason != "" {
		NoteReason(w, NotReady, reason)
		WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "reason": reason})
		return
	}
	WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// check returns why the server is not ready, empty if it is.
func (r *Readiness) check(ctx context.Context) string {
	serving := Serving(ctx)
	if serving.Err() != nil {
		return reasonDraining
	}
	probed := r.begin(ctx, serving)
	patience := time.NewTimer(r.Patience)
	defer patience.Stop()
	select {
	case <-probed:
	case <-patience.C:
	case <-ctx.Done():
	case <-serving.Done():
		return reasonDraining
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	switch {
	case r.reason == "" && now.Sub(r.reached) <= readyAtMost:
		return ""
	case r.reason == "":
		return Silent
	}
	return r.reason
}

// begin starts a probe unless one is running or has just returned. The channel is
// closed when there is an outcome.
func (r *Readiness) begin(ctx, serving context.Context) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.probing != nil {
		return r.probing
	}
	probed := make(chan struct{})
	if !r.probed.IsZero() && r.Now().Sub(r.probed) < readyFor {
		close(probed)
		return probed
	}
	r.probed, r.probing = r.Now(), probed
	// The request may go away, while others wait for the same outcome.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	stop := context.AfterFunc(serving, cancel)
	go func() {
		defer cancel()
		defer stop()
		reason := r.probe(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reason, r.probing = reason, nil
		if reason == "" {
			r.reached = r.Now()
		}
		close(probed)
	}()
	return probed
}
