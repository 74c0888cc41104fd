package server

import "context"

// slot is a request's place among those that are worked on at once. A request
// that waits for the person gives its place up meanwhile.
type slot struct {
	slots chan struct{}
	held  bool
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
	if s == nil || s.held {
		return nil
	}
	select {
	case s.slots <- struct{}{}:
		s.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slot) release() {
	if s != nil && s.held {
		<-s.slots
		s.held = false
	}
}
