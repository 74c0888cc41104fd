package state

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// Bounds of what is kept in memory.
const (
	maxMemoryBytes    = 32 << 20
	maxMemoryCounters = 10_000
	maxMemoryBuckets  = 10_000
	// entryOverhead is about what an entry takes beside its key and value.
	entryOverhead = 256
)

// Memory is a store that ends with the process.
type Memory struct {
	maxBytes, maxCounters int
	buckets               *ratelimit.Table

	mu       sync.Mutex
	entries  map[string]entry
	bytes    int
	counters map[string]counter
	due      map[string]time.Time
}

type entry struct {
	value []byte
	ends  time.Time
}

type counter struct {
	count int
	ends  time.Time
}

// NewMemory returns an empty store for up to 32 MiB, 10,000 counters and 10,000 buckets.
func NewMemory() *Memory {
	return &Memory{
		maxBytes: maxMemoryBytes, maxCounters: maxMemoryCounters, buckets: ratelimit.NewTable(maxMemoryBuckets),
		entries: map[string]entry{}, counters: map[string]counter{}, due: map[string]time.Time{},
	}
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value := m.current(key)
	return bytes.Clone(value), value != nil, nil
}

// current is the value at key that has not ended, or nil.
func (m *Memory) current(key string) []byte {
	e, ok := m.entries[key]
	if !ok || !time.Now().Before(e.ends) {
		return nil
	}
	return e.value
}

// Swap implements [Store]. It fails with [ErrFull] if there is no room for a new key.
func (m *Memory) Swap(_ context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := m.current(key)
	if is != nil && bytes.Equal(is, next) {
		return true, nil
	}
	if (is == nil) != (old == nil) || !bytes.Equal(is, old) {
		return false, nil
	}
	m.drop(key)
	size := entrySize(key, next)
	if old == nil && m.bytes+size > m.maxBytes {
		m.sweep()
		if m.bytes+size > m.maxBytes {
			return false, ErrFull
		}
	}
	m.entries[key] = entry{value: append([]byte{}, next...), ends: time.Now().Add(keep)}
	m.bytes += size
	return true, nil
}

func entrySize(key string, value []byte) int { return len(key) + len(value) + entryOverhead }

func (m *Memory) drop(key string) {
	if e, ok := m.entries[key]; ok {
		m.bytes -= entrySize(key, e.value)
		delete(m.entries, key)
	}
}

// sweep removes what has ended.
func (m *Memory) sweep() {
	now := time.Now()
	for key, e := range m.entries {
		if !now.Before(e.ends) {
			m.drop(key)
		}
	}
}

// Count implements [Store]. If there is no room for another counter, it returns a number
// beyond every limit.
func (m *Memory) Count(_ context.Context, key string, window time.Duration) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	c, ok := m.counters[key]
	if !ok && len(m.counters) >= m.maxCounters {
		for key, c := range m.counters {
			if !now.Before(c.ends) {
				delete(m.counters, key)
			}
		}
		if len(m.counters) >= m.maxCounters {
			return math.MaxInt, nil
		}
	}
	if !ok || !now.Before(c.ends) {
		c = counter{ends: now.Add(window)}
	}
	c.count++
	m.counters[key] = c
	return c.count, nil
}

// Take implements [Store].
func (m *Memory) Take(_ context.Context, key string, limit ratelimit.Limit) (ratelimit.Level, error) {
	return m.buckets.Take(key, limit), nil
}

// Schedule implements [Store].
func (m *Memory) Schedule(_ context.Context, name string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due[name] = at
	return nil
}

// Due implements [Store].
func (m *Memory) Due(_ context.Context, now time.Time, lease time.Duration, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	var names []string
	for name, at := range m.due {
		if !now.Before(at) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(m.due[a].Compare(m.due[b]), cmp.Compare(a, b)) })
	names = names[:min(limit, len(names))]
	for _, name := range names {
		m.due[name] = now.Add(lease)
	}
	return names, nil
}

// Unschedule implements [Store].
func (m *Memory) Unschedule(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.due, name)
	return nil
}

// Shared implements [Store]: nobody else sees this memory.
func (*Memory) Shared() bool { return false }

// Ping implements [Store]. It fails with [ErrFull] if the store is full.
func (m *Memory) Ping(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Room for one entry of the size that secrets have.
	const room = 4 << 10
	if m.bytes+room > m.maxBytes {
		m.sweep()
		if m.bytes+room > m.maxBytes {
			return ErrFull
		}
	}
	return nil
}

// Close implements [Store].
func (*Memory) Close() error { return nil }
