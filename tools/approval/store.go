package approval

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// Store keeps one value for each account. Where several processes share one, they
// share the budget.
type Store interface {
	// Get returns the value at key. ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Swap puts next at key for the time of keep if what is there is old, and
	// reports whether next is there now. A nil old stands for nothing at all.
	Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (swapped bool, err error)
}

// maxMemoryEntries bounds how many values a [Memory] holds. A value has a few
// kilobytes at most.
const maxMemoryEntries = 10_000

// Memory is a Store that ends with the process. When it is full, the value that
// would end first makes room.
type Memory struct {
	mu      sync.Mutex
	entries map[string]memoryEntry
}

type memoryEntry struct {
	value []byte
	ends  time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{entries: map[string]memoryEntry{}} }

// Get implements [Store].
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value := m.current(key)
	return bytes.Clone(value), value != nil, nil
}

func (m *Memory) current(key string) []byte {
	e, ok := m.entries[key]
	if !ok || !time.Now().Before(e.ends) {
		return nil
	}
	return e.value
}

// Swap implements [Store].
func (m *Memory) Swap(_ context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := m.current(key)
	if (is == nil) != (old == nil) || !bytes.Equal(is, old) {
		return false, nil
	}
	if _, known := m.entries[key]; !known && len(m.entries) >= maxMemoryEntries {
		m.makeRoom()
	}
	m.entries[key] = memoryEntry{value: bytes.Clone(next), ends: time.Now().Add(keep)}
	return true, nil
}

func (m *Memory) makeRoom() {
	var first string
	for key, e := range m.entries {
		if first == "" || e.ends.Before(m.entries[first].ends) {
			first = key
		}
	}
	delete(m.entries, first)
}
