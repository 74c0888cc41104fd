package server

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// maxOpenRequests bounds what one caller has the server work on at once. A
// request may wait minutes for a person, and a stream stays open for as long as
// its client likes.
const maxOpenRequests = 256

var tooManyOpen = fmt.Sprintf("too many of your requests are open; wait for answers before sending more, of which there may be %d, and a quarter of the memory for bodies", maxOpenRequests)

// openRequests counts the requests and streams of each caller that are not
// answered yet.
type openRequests struct {
	most    int
	metrics Metrics

	mu sync.Mutex
	of map[string]int // by caller
}

func newOpenRequests(most int, metrics Metrics) *openRequests {
	return &openRequests{most: most, metrics: metrics, of: map[string]int{}}
}

// guard holds back the requests of callers who have too many open. What ends
// others passes at any time: answers to questions, cancellations and ends of
// sessions.
func (o *openRequests) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, bad := messageOf(r)
		if r.Method != http.MethodGet && (r.Method != http.MethodPost || bad != nil || !m.isRequest()) {
			next.ServeHTTP(w, r)
			return
		}
		caller, _ := callerFrom(r.Context())
		if !o.take(caller.ID) {
			o.metrics.Refused("user")
			refuseForNow(w, time.Second, tooManyOpen)
			return
		}
		defer o.giveBack(caller.ID)
		next.ServeHTTP(w, r)
	})
}

func (o *openRequests) take(callerID string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[callerID] >= o.most {
		return false
	}
	o.of[callerID]++
	return true
}

func (o *openRequests) giveBack(callerID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[callerID]--; o.of[callerID] == 0 {
		delete(o.of, callerID)
	}
}
