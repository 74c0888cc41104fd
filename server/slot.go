package server

import (
	"context"
	"sync"
)

// slot is a request's place among those that are worked on at once. A request
// that waits for the person gives its place up meanwhile.
type slot struct {
	slots chan struct{}

	mu   sync.Mutex
	held bool
	// over tells that the request was answered: what still goes on for it needs no
	// place.
	over bool
}

type slotKey struct{}

func withSlot(ctx context.Context, s *slot) context.Context {
	return context.WithValue(ctx, slotKey{}, s)
}

func slotFrom(ctx context.Context) *slot {
	s, _ := ctx.Value(slotKey{}).(*slot)
	return s
}

func (s *slot) take(ctx context.Context) error {
	if s == nil || s.isTaken() {
		return nil
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		<-s.slots
		return nil
	}
	s.held = true
	return nil
}

// isTaken reports whether there is nothing to take.
func (s *slot) isTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held || s.over
}

func (s *slot) release() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		<-s.slots
		s.held = false
	}
}

// end gives the place up for good.
func (s *slot) end() {
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}
