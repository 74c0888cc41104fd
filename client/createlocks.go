package client

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
)

// createLocks lets one create at a time through per key, so that a create in
// doubt cannot take the token of another for its own.
type createLocks struct {
	mu   sync.Mutex
	held map[[sha256.Size]byte]*createLock
}

type createLock struct {
	turn chan struct{}
	uses int
}

// createKey is made of the credential and the name, hashed so that no secret
// stays in the map.
func createKey(secret Secret, name string) [sha256.Size]byte {
	return sha256.Sum256([]byte(secret.Reveal() + "\x00" + name))
}

// lock waits for its turn, or for ctx to end, whose error it then returns.
func (l *createLocks) lock(ctx context.Context, key [sha256.Size]byte) (unlock func(), err error) {
	l.mu.Lock()
	held := l.held[key]
	if held == nil {
		if l.held == nil {
			l.held = make(map[[sha256.Size]byte]*createLock)
		}
		held = &createLock{turn: make(chan struct{}, 1)}
		l.held[key] = held
	}
	held.uses++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if held.uses--; held.uses == 0 {
			delete(l.held, key)
		}
	}
	select {
	case held.turn <- struct{}{}:
		return func() { <-held.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// recentIDs remembers the ids of the latest tokens that were handed over.
type recentIDs struct {
	mu   sync.Mutex
	ids  []string
	next int
}

const maxRecentIDs = 1024

func (r *recentIDs) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) < maxRecentIDs {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % maxRecentIDs
}

func (r *recentIDs) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.ids, id)
}
