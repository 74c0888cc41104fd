package server

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Bounds of what one caller has the server work on at once. A request may wait
// minutes for a person, and a stream stays open for as long as its client likes;
// each is held in memory meanwhile.
const (
	maxOpenRequests = 256
	maxOpenBytes    = 16 << 20
)

// openRequests counts the requests and streams of each caller that are not
// answered yet, and what their messages take.
type openRequests struct {
	maxRequests, maxBytes int
	metrics               Metrics

	mu sync.Mutex
	of map[string]openLoad // by caller
}

type openLoad struct{ requests, bytes int }

func newOpenRequests(maxRequests, maxBytes int, metrics Metrics) *openRequests {
	return &openRequests{maxRequests: maxRequests, maxBytes: maxBytes, metrics: metrics, of: map[string]openLoad{}}
}

// guard holds back the requests of callers who have too many open. What ends
// others passes at any time: answers to questions, cancellations and ends of
// sessions.
func (o *openRequests) guard(next http.Handler) http.Handler {
	advice := fmt.Sprintf("too many of your requests are open; wait for answers before sending more, of which there may be %d with %d MiB", o.maxRequests, o.maxBytes>>20)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bytes := 0
		if m, bad := messageOf(r); r.Method == http.MethodPost {
			if bad != nil || !m.isRequest() {
				next.ServeHTTP(w, r)
				return
			}
			bytes = len(m.text)
		} else if r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		caller, _ := callerFrom(r.Context())
		if !o.take(caller.ID, bytes) {
			o.metrics.Refused("user")
			refuseForNow(w, time.Second, advice)
			return
		}
		defer o.giveBack(caller.ID, bytes)
		next.ServeHTTP(w, r)
	})
}

func (o *openRequests) take(callerID string, bytes int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	load := o.of[callerID]
	if load.requests >= o.maxRequests || load.bytes+bytes > o.maxBytes {
		return false
	}
	o.of[callerID] = openLoad{load.requests + 1, load.bytes + bytes}
	return true
}

func (o *openRequests) giveBack(callerID string, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	load := o.of[callerID]
	if load.requests == 1 {
		delete(o.of, callerID)
		return
	}
	o.of[callerID] = openLoad{load.requests - 1, load.bytes - bytes}
}
