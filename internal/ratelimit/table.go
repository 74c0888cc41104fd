package ratelimit

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Table is buckets by key in the memory of this process. It is safe for use by
// several goroutines.
type Table struct {
	mu   sync.Mutex
	full *simplelru.LRU[string, time.Time] // when each bucket is full
}

// NewTable returns a table of up to size buckets. Those that are full again take
// no room; where all are in use, the one that was used least recently makes
// room, and counts as full.
func NewTable(size int) *Table {
	full, err := simplelru.NewLRU[string, time.Time](size, nil)
	if err != nil {
		panic(fmt.Errorf("ratelimit: a table of %d buckets: %w", size, err))
	}
	return &Table{full: full}
}

// Take takes a token from the bucket at key, if there is one. A key always has
// the same limit.
func (t *Table) Take(key string, limit Limit) Level {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(now)
	full, _ := t.full.Get(key)
	full, level := limit.take(full, now)
	t.full.Add(key, full)
	return level
}

// Look returns the level of the bucket at key and takes nothing.
func (t *Table) Look(key string, limit Limit) Level {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	full, _ := t.full.Peek(key)
	return limit.At(max(full.Sub(now), 0), false)
}

// Len is how many buckets take room.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.full.Len()
}

// drop removes the buckets that were used least recently and are full again. Two
// at each use are enough: no more than one is added.
func (t *Table) drop(now time.Time) {
	for range 2 {
		_, full, ok := t.full.GetOldest()
		if !ok || now.Before(full) {
			return
		}
		t.full.RemoveOldest()
	}
}
