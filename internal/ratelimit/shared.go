package ratelimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Store holds buckets that several processes share.
type Store interface {
	// Take takes a token from the bucket at key, if there is one.
	Take(ctx context.Context, key string, limit Limit) (Level, error)
}

// How long a request waits for the store, and how long the store is left alone
// after it failed: limits are no reason to be slow or down.
const (
	storePatience = 250 * time.Millisecond
	storeRest     = 5 * time.Second
)

// Shared is buckets in a store, or in a table of this process while the store
// cannot be asked. It is safe for use by several goroutines.
type Shared struct {
	store Store
	own   *Table
	log   *slog.Logger

	mu      sync.Mutex
	failing bool
	// askAgain is when the store is asked next while it is failing.
	askAgain time.Time
}

// NewShared returns the buckets of store, with own in its place while it cannot
// be asked. A nil store means that own counts always.
func NewShared(store Store, own *Table, logger *slog.Logger) *Shared {
	return &Shared{store: store, own: own, log: logger}
}

// Take takes a token from the bucket at key, if there is one.
func (s *Shared) Take(ctx context.Context, key string, limit Limit) Level {
	if s.store == nil || !s.mayAsk() {
		return s.own.Take(key, limit)
	}
	// That a client went away says nothing about the store.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
	defer cancel()
	level, err := s.store.Take(ctx, key, limit)
	s.note(err)
	if err != nil {
		return s.own.Take(key, limit)
	}
	return level
}

// TakeOwn takes a token from this process's own bucket at key.
func (s *Shared) TakeOwn(key string, limit Limit) Level { return s.own.Take(key, limit) }

// mayAsk reports whether the store is worth a question. Of the requests that
// come when a failing one has rested, one tries.
func (s *Shared) mayAsk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failing {
		return true
	}
	now := time.Now()
	if now.Before(s.askAgain) {
		return false
	}
	s.askAgain = now.Add(storeRest)
	return true
}

func (s *Shared) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		if !s.failing {
			s.log.Warn("rate limits cannot be shared; until that works again this process counts by itself", "cause", err)
		}
		s.failing, s.askAgain = true, time.Now().Add(storeRest)
	case s.failing:
		s.failing = false
		s.log.Info("rate limits are shared again")
	}
}
