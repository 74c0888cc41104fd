package changelimit

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// Store keeps one value for each account. Processes that share one count
// together.
type Store interface {
	// Get returns the value at key. ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Swap puts next at key for the time of keep if what is there is old, and
	// reports whether next is there now. A nil old stands for nothing at all.
	Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (swapped bool, err error)
}

// Memory is a Store that ends with the process. It never drops a value before its
// time, so no account gets a new count because there are many others. Its size is
// bounded by how many accounts change something within the window.
type Memory struct {
	clock func() time.Time

	mu     sync.Mutex
	values map[string]value
}

type value struct {
	content []byte
	ends    time.Time
}

// NewMemory returns an empty store.
func NewMemory(clock func() time.Time) *Memory {
	return &Memory{clock: clock, values: map[string]value{}}
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	if !ok || !m.clock().Before(v.ends) {
		return nil, false, nil
	}
	return bytes.Clone(v.content), true, nil
}

// Swap implements [Store].
func (m *Memory) Swap(_ context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	v, ok := m.values[key]
	if ok != (old != nil) || !bytes.Equal(v.content, old) {
		return false, nil
	}
	m.values[key] = value{content: bytes.Clone(next), ends: m.clock().Add(keep)}
	return true, nil
}

// sweep removes what has ended.
func (m *Memory) sweep() {
	now := m.clock()
	for key, v := range m.values {
		if !now.Before(v.ends) {
			delete(m.values, key)
		}
	}
}
