package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// readyPath answers whether requests have a chance, to whoever asks.
const readyPath = "/readyz"

// How readiness is found out.
const (
	// readyFor is how long an answer of the API counts before it is asked again.
	readyFor = 5 * time.Second
	// readyAtMost is how long an answer counts while the API is silent.
	readyAtMost = 15 * time.Second
	// readyTimeout bounds one question to the API.
	readyTimeout = 5 * time.Second
	// readyPatience is how long a request waits for the answer.
	readyPatience = time.Second
)

// Why a server is not ready. The classes say no more than a load balancer needs.
const (
	reasonDraining    = "draining"
	reasonUnreachable = "api_unreachable"
	reasonFailing     = "api_failing"
	reasonUnexpected  = "api_unexpected"
	reasonSilent      = "api_silent"
)

// readiness tells whether the API was reachable lately. It asks when somebody
// wants to know, one question at a time.
type readiness struct {
	probe func(context.Context) error
	now   func() time.Time
	// patience is readyPatience but in tests.
	patience time.Duration

	mu sync.Mutex
	// asking is closed when the question that is under way has been answered; nil
	// if none is.
	asking chan struct{}
	// asked is when the last question was put.
	asked time.Time
	// reason is why the API was not reachable then, empty if it was.
	reason string
	// reached is when the API was last known to be reachable.
	reached time.Time
}

// newReadiness returns the readiness of a server that needs api; nil for one
// that needs none.
func newReadiness(api *client.Client) *readiness {
	r := &readiness{now: time.Now, patience: readyPatience, probe: func(context.Context) error { return nil }}
	if api != nil {
		r.probe = api.Reachable
	}
	return r
}

// ServeHTTP answers 200 or 503.
func (r *readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	reason := r.check(request.Context())
	w.Header().Set("Cache-Control", "no-store")
	if reason != "" {
		noteReason(w, refusedNotReady, client.Cause(reason))
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "reason": reason})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// check returns why the server is not ready, empty if it is.
func (r *readiness) check(ctx context.Context) string {
	serving := servingOf(ctx)
	if serving.Err() != nil {
		return reasonDraining
	}
	answered := r.ask(ctx, serving)
	patience := time.NewTimer(r.patience)
	defer patience.Stop()
	select {
	case <-answered:
	case <-patience.C:
	case <-ctx.Done():
	case <-serving.Done():
		return reasonDraining
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case r.reason == "" && now.Sub(r.reached) <= readyAtMost:
		return ""
	case r.reason == "":
		return reasonSilent
	}
	return r.reason
}

// servingOf returns what ends when the server stops taking requests.
func servingOf(ctx context.Context) context.Context {
	if serving, ok := ctx.Value(servingKey{}).(context.Context); ok {
		return serving
	}
	return context.WithoutCancel(ctx)
}

// ask puts the question unless it was answered a moment ago or is under way, and
// returns what is closed when there is an answer.
func (r *readiness) ask(ctx, serving context.Context) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking != nil {
		return r.asking
	}
	answered := make(chan struct{})
	if !r.asked.IsZero() && r.now().Sub(r.asked) < readyFor {
		close(answered)
		return answered
	}
	r.asked, r.asking = r.now(), answered
	// Whoever asked may go away; others wait for the same answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	stop := context.AfterFunc(serving, cancel)
	go func() {
		defer cancel()
		defer stop()
		reason := reasonOf(r.probe(ctx))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reason, r.asking = reason, nil
		if reason == "" {
			r.reached = r.now()
		}
		close(answered)
	}()
	return answered
}

func reasonOf(err error) string {
	var e *client.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return reasonSilent
	case errors.Is(err, client.ErrUnexpectedAnswer):
		return reasonUnexpected
	case errors.As(err, &e) && e.Status != 0:
		return reasonFailing
	}
	return reasonUnreachable
}
