package approval_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/approval"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func about(target string) approval.Ask {
	return approval.Ask{Account: "ada", Key: "revoke " + target, Target: target}
}

func heldBack(t *testing.T, b *approval.Budget, q approval.Ask, why approval.Why) time.Time {
	t.Helper()
	_, err := b.Begin(t.Context(), q, 5*time.Minute)
	var held *approval.HeldBackError
	if !errors.As(err, &held) || held.Why != why {
		t.Fatalf("%+v: %v, want %d", q, err, why)
	}
	return held.Until
}

func begin(t *testing.T, b *approval.Budget, q approval.Ask) string {
	t.Helper()
	id, err := b.Begin(context.Background(), q, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestANoIsFollowedBySilenceThatDoubles(t *testing.T) {
	c := &clock{time.Now()}
	b := approval.NewBudget(approval.NewMemory(), c.Now)
	for _, silence := range []time.Duration{5, 10, 20, 40} {
		if err := b.Settle(t.Context(), "ada", begin(t, b, about("a")), approval.Declined); err != nil {
			t.Fatal(err)
		}
		q := about("a")
		q.Key = "rotate a" // another tool, other arguments
		if until := heldBack(t, b, q, approval.SaidNo); until.Sub(c.now).Round(time.Second) != silence*time.Minute {
			t.Errorf("the silence is %s, want %s", until.Sub(c.now), silence*time.Minute)
		}
		c.now = c.now.Add(silence * time.Minute)
	}
	if err := b.Settle(t.Context(), "ada", begin(t, b, about("a")), approval.Agreed); err != nil {
		t.Fatal(err)
	}
	begin(t, b, about("a")) // a yes ends it
}

func TestTwoQuestionsAreOpenAtMost(t *testing.T) {
	c := &clock{time.Now()}
	b := approval.NewBudget(approval.NewMemory(), c.Now)
	begin(t, b, about("a"))
	heldBack(t, b, about("a"), approval.AlreadyOpen)
	heldBack(t, b, approval.Ask{Account: "ada", Key: "rotate a", Target: "a"}, approval.TargetOpen)
	begin(t, b, about("b"))
	heldBack(t, b, about("c"), approval.TooManyOpen)
	eve := about("c")
	eve.Account = "eve"
	begin(t, b, eve)
	// Those that nobody answers count, for less.
	c.now = c.now.Add(5*time.Minute + time.Millisecond)
	begin(t, b, about("c"))
	if until := heldBack(t, b, about("a"), approval.NotAnswered); until.Sub(c.now).Round(time.Second) != time.Minute {
		t.Errorf("the silence is %s", until.Sub(c.now))
	}
}

func TestR38_AUsedQuestionStaysUsedWhenTheClockGoesBack(t *testing.T) {
	c := &clock{time.Now()}
	b := approval.NewBudget(approval.NewMemory(), c.Now)
	used, ranOut := begin(t, b, about("a")), begin(t, b, about("b"))
	if err := b.Settle(t.Context(), "ada", used, approval.Agreed); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Hour)
	if err := b.Settle(t.Context(), "ada", begin(t, b, about("c")), approval.Agreed); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(-2 * time.Hour)
	for _, id := range []string{used, ranOut} {
		if err := b.Settle(t.Context(), "ada", id, approval.Agreed); !errors.Is(err, approval.ErrNotOpen) {
			t.Errorf("a question that has ended counts again: %v", err)
		}
	}
}

func TestManyTargetsAreSilentAndMemoryIsBounded(t *testing.T) {
	c := &clock{time.Now()}
	store := approval.NewMemory()
	b := approval.NewBudget(store, c.Now)
	asked := 0
	for i := range 500 {
		id, err := b.Begin(t.Context(), about(string(rune('a'+i))), time.Minute)
		if err != nil {
			continue
		}
		asked++
		if err := b.Settle(t.Context(), "ada", id, approval.Declined); err != nil {
			t.Fatal(err)
		}
	}
	value, _, err := store.Get(t.Context(), "questions:ada")
	if err != nil || asked > 64 || len(value) > 16<<10 {
		t.Errorf("%d questions were asked, and %d bytes are kept, %v", asked, len(value), err)
	}
}
