package tools

import (
	"context"
	"sync"
)

// StatusUnclaimed is that of a token in a list that was made and has not reached its
// user yet. It may be used as soon as it does, and is revoked if it does not.
const StatusUnclaimed = "waiting for pick-up"

// unclaimed are tokens that were made and have not reached their user yet.
type unclaimed struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

// add notes that the token id is on its way, until the function that it returns is
// called.
func (u *unclaimed) add(id string) (arrived func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ids[id] = struct{}{}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.ids, id)
	}
}

// has reports whether the token id is on its way.
func (u *unclaimed) has(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, is := u.ids[id]
	return is
}

// waitingForPickup returns a function that reports whether a token of the caller's
// has not reached its user yet.
func (c *call) waitingForPickup(ctx context.Context) (waits func(id string) bool, err error) {
	claimed := map[string]bool{}
	if claims, ok := c.deliverer.(Claimed); ok {
		var ids []string
		ids, err = claims.Unclaimed(ctx, c.caller)
		for _, id := range ids {
			claimed[id] = true
		}
	}
	return func(id string) bool { return claimed[id] || c.unclaimed.has(id) }, err
}
