package tools

import (
	"context"
	"sync"
)

// rotations lets one rotation of a token run at a time in this process, so that
// a token has one successor. Between processes the API decides: only one of two
// can revoke the old token.
type rotations struct {
	mu      sync.Mutex
	running map[string]chan struct{}
}

func newRotations() *rotations { return &rotations{running: map[string]chan struct{}{}} }

// begin waits until no rotation of token runs, and returns what ends this one.
func (r *rotations) begin(ctx context.Context, token string) (release func(), _ error) {
	for {
		r.mu.Lock()
		other, taken := r.running[token]
		if !taken {
			mine := make(chan struct{})
			r.running[token] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.running, token)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
