package keylock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	locks := New()
	release, err := locks.Lock(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := locks.Lock(ctx, "ci"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	release()
	if len(locks.held) != 0 {
		t.Error("the lock is left")
	}
}

func TestOneHolderAtATimeAndNoneIsLeft(t *testing.T) {
	locks := New()
	var holders, most atomic.Int32
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			release, err := locks.Lock(t.Context(), "ci")
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if n := holders.Add(1); n > most.Load() {
				most.Store(n)
			}
			holders.Add(-1)
		})
	}
	group.Wait()
	if most.Load() != 1 || len(locks.held) != 0 {
		t.Errorf("%d holders at a time, %d locks left", most.Load(), len(locks.held))
	}
}
