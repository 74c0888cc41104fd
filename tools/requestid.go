package tools

import (
	"context"
	"crypto/rand"
)

type requestIDKey struct{}

// NewRequestID returns a number for a request: 80 random bits in 16 characters
// out of A to Z and 2 to 7.
func NewRequestID() string { return rand.Text()[:16] }

// WithRequestID says to which request what happens under ctx belongs. The
// transport makes the id; a client's own number would not tell two clients
// apart.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the request that ctx belongs to, "" where there is
// none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
