package server_test

import (
	"sync"
	"time"
)

// refusedRequests counts by limit what a server refused, and is told all else in vain.
type refusedRequests struct {
	mu sync.Mutex
	of map[string]int
}

func newRefusedRequests() *refusedRequests { return &refusedRequests{of: map[string]int{}} }

func (r *refusedRequests) Refused(limit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[limit]++
}

// take returns how many requests a limit refused since it was last asked for.
func (r *refusedRequests) take(limit string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.of[limit]
	delete(r.of, limit)
	return n
}

func (*refusedRequests) Request(string, int)                    {}
func (*refusedRequests) Sessions(func() int)                    {}
func (*refusedRequests) ToolCall(string, string, time.Duration) {}
