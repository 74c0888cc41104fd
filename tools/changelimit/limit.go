// Package changelimit bounds how many changes an account makes in a sliding
// window of time. Processes that share a store count together.
package changelimit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// maxEntries bounds the size of a stored record. Beyond it neighbouring
	// changes share the time of the later one.
	maxEntries = 1000
	// maxTries bounds how often a change is counted again because another process
	// was faster.
	maxTries = 100
)

// errBusy means that other processes counted changes all the time.
var errBusy = errors.New("changes are counted too fast")

// Limit allows a number of changes within a window. Its methods may be called at
// the same time.
type Limit struct {
	store  Store
	name   string
	max    int
	window time.Duration
	clock  func() time.Time
}

// New returns a limit of max changes within window. Zero means no limit. Limits
// with the same name and store count together.
func New(store Store, name string, maxChanges int, window time.Duration, clock func() time.Time) *Limit {
	return &Limit{store: store, name: name, max: maxChanges, window: window, clock: clock}
}

// Off reports whether there is no limit.
func (l *Limit) Off() bool { return l.max <= 0 }

// Wait returns how long account has to wait before its next change. Zero means
// not at all. An error means that the store cannot tell.
func (l *Limit) Wait(ctx context.Context, account string) (time.Duration, error) {
	if l.Off() {
		return 0, nil
	}
	_, r, err := l.read(ctx, account)
	if err != nil {
		return 0, err
	}
	now := l.clock()
	r.expire(now, l.window)
	return r.wait(now, l.max, l.window), nil
}

// Take counts a change of account, or returns how long it has to wait before it
// may be made. After an error the change may be counted, but must not be made.
func (l *Limit) Take(ctx context.Context, account string) (time.Duration, error) {
	if l.Off() {
		return 0, nil
	}
	for range maxTries {
		old, r, err := l.read(ctx, account)
		if err != nil {
			return 0, err
		}
		now := l.clock()
		r.expire(now, l.window)
		if wait := r.wait(now, l.max, l.window); wait > 0 {
			return wait, nil
		}
		r.add(now)
		r.Revision = rand.Text()
		next, err := json.Marshal(r)
		if err != nil {
			return 0, fmt.Errorf("write the count of changes: %w", err)
		}
		swapped, err := l.store.Swap(ctx, l.key(account), old, next, l.window)
		if err != nil {
			return 0, err
		}
		if swapped {
			return 0, nil
		}
	}
	return 0, errBusy
}

func (l *Limit) key(account string) string { return l.name + ":" + account }

// read returns the record of account, and what is stored of it. It is nil if
// there is none.
func (l *Limit) read(ctx context.Context, account string) (stored []byte, r record, err error) {
	stored, ok, err := l.store.Get(ctx, l.key(account))
	switch {
	case err != nil:
		return nil, r, err
	case !ok:
		return nil, r, nil
	}
	if err := json.Unmarshal(stored, &r); err != nil {
		return nil, r, fmt.Errorf("read the count of changes: %w", err)
	}
	return stored, r, nil
}

// record is the recent changes of one account, oldest first, as they are stored.
type record struct {
	// Revision makes each stored value different.
	Revision string  `json:"r"`
	Changes  []entry `json:"c,omitempty"`
}

// entry is a number of changes at a time, in nanoseconds since 1970.
type entry struct {
	At    int64 `json:"a"`
	Count int   `json:"n"`
}

func (r *record) expire(now time.Time, window time.Duration) {
	r.Changes = slices.DeleteFunc(r.Changes, func(e entry) bool { return now.Sub(time.Unix(0, e.At)) >= window })
}

// wait is the time until fewer than limit changes are left in the window.
func (r *record) wait(now time.Time, limit int, window time.Duration) time.Duration {
	var wait time.Duration
	newer := 0
	for _, e := range slices.Backward(r.Changes) {
		if newer += e.Count; newer >= limit {
			wait = window - now.Sub(time.Unix(0, e.At))
			break
		}
	}
	return wait
}

// add counts a change. Clocks of two processes differ, so that an earlier change
// may have a later time.
func (r *record) add(now time.Time) {
	at := now.UnixNano()
	i := len(r.Changes)
	for i > 0 && r.Changes[i-1].At > at {
		i--
	}
	r.Changes = slices.Insert(r.Changes, i, entry{At: at, Count: 1})
	if len(r.Changes) <= maxEntries {
		return
	}
	// The later time of two never lets a change be forgotten too early.
	var merged []entry
	for pair := range slices.Chunk(r.Changes, 2) {
		last := pair[len(pair)-1]
		if len(pair) == 2 {
			last.Count += pair[0].Count
		}
		merged = append(merged, last)
	}
	r.Changes = merged
}
