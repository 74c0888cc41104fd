package state

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestA28_MemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.maxBytes, m.maxCounters = 64<<10, 100
		value := make([]byte, 1<<10)
		put := func(key string) (bool, error) { return m.Swap(t.Context(), key, nil, value, time.Minute) }
		kept := 0
		for i := range 200 {
			swapped, err := put(fmt.Sprint(i))
			if swapped {
				kept++
			} else if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
		}
		if kept < 40 || kept > 64 || m.bytes > m.maxBytes {
			t.Errorf("%d values and %d bytes are kept", kept, m.bytes)
		}
		if err := m.Ping(t.Context()); !errors.Is(err, ErrFull) {
			t.Errorf("a full store says %v", err)
		}
		// What is there can be changed, and is not pushed out.
		if swapped, err := m.Swap(t.Context(), "0", value, []byte("x"), time.Minute); err != nil || !swapped {
			t.Errorf("in a full store nothing can be swapped: %t, %v", swapped, err)
		}
		for i := range 150 {
			n, err := m.Count(t.Context(), fmt.Sprint(i), time.Minute)
			if want := 1; err != nil || i < 100 && n != want || i >= 100 && n != math.MaxInt {
				t.Fatalf("counter %d is %d, %v", i, n, err)
			}
		}
		time.Sleep(2 * time.Minute) // the bubble's clock
		if err := m.Ping(t.Context()); err != nil {
			t.Errorf("what has ended still takes room: %v", err)
		}
		if swapped, err := put("new"); err != nil || !swapped {
			t.Error(swapped, err)
		}
		if n, err := m.Count(t.Context(), "new", time.Minute); err != nil || n != 1 || len(m.counters) != 1 {
			t.Errorf("%d, %v; %d counters", n, err, len(m.counters))
		}
		if len(m.entries) != 1 || m.bytes != entrySize("new", value) {
			t.Errorf("%d entries of %d bytes are left", len(m.entries), m.bytes)
		}
	})
}
