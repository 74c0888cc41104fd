package tools

import (
	"context"
	"sync"
)

// keyedLock lets one holder of a key run at a time in this process.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func newKeyedLock() *keyedLock { return &keyedLock{held: map[string]chan struct{}{}} }

// lock waits until key is free, and returns what frees it again.
func (l *keyedLock) lock(ctx context.Context, key string) (release func(), _ error) {
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
