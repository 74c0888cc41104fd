package changelimit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/changelimit"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func take(t *testing.T, l *changelimit.Limit, account string, want time.Duration) {
	t.Helper()
	wait, err := l.Take(t.Context(), account)
	if err != nil || wait != want {
		t.Fatalf("wait %s, %v; want %s", wait, err, want)
	}
}

func TestTheWindowSlides(t *testing.T) {
	c := &clock{time.Now()}
	l := changelimit.New(changelimit.NewMemory(c.Now), "changes", 2, time.Minute, c.Now)
	take(t, l, "ada", 0)
	c.advance(20 * time.Second)
	take(t, l, "ada", 0)
	for range 3 { // what is refused does not count
		take(t, l, "ada", 40*time.Second)
	}
	take(t, l, "ben", 0)
	c.advance(40*time.Second - 1)
	take(t, l, "ada", 1)
	c.advance(1)
	take(t, l, "ada", 0)
	take(t, l, "ada", 20*time.Second)
	for range 3 {
		if wait, err := l.Wait(t.Context(), "ada"); err != nil || wait != 20*time.Second {
			t.Fatal(wait, err)
		}
	}
}

// A replica whose clock is behind does not make room.
func TestClocksOfReplicasDiffer(t *testing.T) {
	ahead := &clock{time.Now()}
	behind := &clock{ahead.now.Add(-10 * time.Second)}
	store := changelimit.NewMemory(ahead.Now)
	one := changelimit.New(store, "changes", 2, time.Minute, ahead.Now)
	other := changelimit.New(store, "changes", 2, time.Minute, behind.Now)
	take(t, one, "ada", 0)
	take(t, other, "ada", 0)
	take(t, one, "ada", 50*time.Second)
	take(t, other, "ada", time.Minute)
}

func TestARecordIsBoundedAndNeverForgetsEarly(t *testing.T) {
	c := &clock{time.Now()}
	store := &sizes{Memory: changelimit.NewMemory(c.Now)}
	const limit = 3_000
	l := changelimit.New(store, "creations", limit, 24*time.Hour, c.Now)
	for range limit {
		take(t, l, "ada", 0)
		c.advance(time.Second)
	}
	if store.largest > 64<<10 {
		t.Errorf("a record has %d bytes", store.largest)
	}
	wait, err := l.Take(t.Context(), "ada")
	if least := 24*time.Hour - limit*time.Second; err != nil || wait < least {
		t.Errorf("wait %s, %v; want %s at least", wait, err, least)
	}
	c.advance(24 * time.Hour)
	take(t, l, "ada", 0)
}

// Two changes that share a time have that of the later one.
func TestMergedChangesCountUntilTheLaterEnds(t *testing.T) {
	c := &clock{time.Now()}
	const limit = 1001 // one more than a record has entries
	l := changelimit.New(changelimit.NewMemory(c.Now), "changes", limit, time.Hour, c.Now)
	take(t, l, "ada", 0)
	c.advance(time.Minute)
	for range limit - 1 {
		take(t, l, "ada", 0)
	}
	take(t, l, "ada", time.Hour)
	c.advance(time.Hour - 1)
	take(t, l, "ada", 1)
}

// A change that another process counted in between is not lost.
func TestAChangeOfAnotherProcessIsNotLost(t *testing.T) {
	c := &clock{time.Now()}
	store := changelimit.NewMemory(c.Now)
	other := changelimit.New(store, "changes", 2, time.Minute, c.Now)
	l := changelimit.New(&interrupted{Memory: store, by: func() { take(t, other, "ada", 0) }}, "changes", 2, time.Minute, c.Now)
	take(t, l, "ada", 0)
	take(t, l, "ada", time.Minute)
}

// interrupted has something else happen before the first swap.
type interrupted struct {
	*changelimit.Memory
	by func()
}

func (s *interrupted) Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	if by := s.by; by != nil {
		s.by = nil
		by()
	}
	return s.Memory.Swap(ctx, key, old, next, keep)
}

type sizes struct {
	*changelimit.Memory
	largest int
}

func (s *sizes) Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	s.largest = max(s.largest, len(next))
	return s.Memory.Swap(ctx, key, old, next, keep)
}

// However many accounts there are, none gets a new count.
func TestMemoryDropsWhatHasEndedAndNothingElse(t *testing.T) {
	c := &clock{time.Now()}
	m := changelimit.NewMemory(c.Now)
	l := changelimit.New(m, "changes", 1, time.Minute, c.Now)
	take(t, l, "ada", 0)
	for i := range 2000 {
		take(t, l, fmt.Sprint(i), 0)
	}
	take(t, l, "ada", time.Minute)
	c.advance(time.Minute)
	if _, ok, err := m.Get(t.Context(), "changes:ada"); ok || err != nil {
		t.Error(ok, err)
	}
}
