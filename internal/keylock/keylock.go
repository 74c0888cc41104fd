// Package keylock locks by key within one process.
package keylock

import (
	"context"
	"sync"
)

// Lock lets one holder of a key run at a time.
type Lock struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// New returns a lock that nobody holds.
func New() *Lock { return &Lock{held: map[string]chan struct{}{}} }

// Lock waits until key is free, and returns what frees it again.
func (l *Lock) Lock(ctx context.Context, key string) (release func(), _ error) {
	for {
		l.mu.Lock()
		other, taken := l.held[key]
		if !taken {
			mine := make(chan struct{})
			l.held[key] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, key)
				l.mu.Unlock()
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
