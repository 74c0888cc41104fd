package state

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// Store is short-lived state. Its keys are names that may be seen by whoever
// can look into the store; values that are secrets are encrypted by who puts
// them there.
//
// All methods may be called at the same time. An error means that it is not
// known whether what was asked for happened, unless it is one of the errors of
// this package.
type Store interface {
	// Get returns the value at key. ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Swap puts next at key for the time of keep if what is there is old, and
	// reports whether next is there now. A nil old stands for nothing at all.
	// The same Swap may be repeated after an error: it succeeds if the first one
	// did, as long as next is a value that nobody else would put there.
	Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (swapped bool, err error)
	// Count adds one to the counter at key and returns it. The counter begins
	// anew when window has passed since its first count.
	Count(ctx context.Context, key string, window time.Duration) (int, error)
	// Take takes a token from the bucket at key, if there is one, and returns what
	// is left. A bucket that was never used is full. A key always has the same
	// limit.
	Take(ctx context.Context, key string, limit ratelimit.Limit) (ratelimit.Level, error)
	// Schedule has Due return name from the time at on. A name has one time; the
	// last counts.
	Schedule(ctx context.Context, name string, at time.Time) error
	// Due returns up to limit names whose time has come and puts them off by
	// lease, so that of many callers one gets each, and another does if the
	// first dies with it.
	Due(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]string, error)
	// Unschedule forgets name.
	Unschedule(ctx context.Context, name string) error
	// Shared reports whether other processes can see the store, and whether it
	// is there after this one.
	Shared() bool
	// Ping reports whether the store can be used now. Its error says what the
	// operator must change.
	Ping(ctx context.Context) error
	// Close frees what the store holds.
	Close() error
}

// Errors that are about what was asked for, and not about reaching the store.
var (
	// ErrFull means that a store in memory holds as much as it may.
	ErrFull = errors.New("the memory for short-lived state is full: wait, or keep it in Redis with --state")
	// ErrOtherKey means that the store is used by replicas with another key.
	ErrOtherKey = errors.New("the replicas that share this Redis have another key: give all of them the same --state-key-file, " +
		"or this one another database number at the end of the address")
)

// Once reports whether it is called for key for the first time within keep.
func Once(ctx context.Context, store Store, key string, keep time.Duration) (first bool, err error) {
	return store.Swap(ctx, key, nil, []byte(rand.Text()), keep)
}
