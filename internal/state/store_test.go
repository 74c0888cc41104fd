package state_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/state"
)

// eachStore runs a test against two replicas' views of every kind of store.
func eachStore(t *testing.T, test func(t *testing.T, here, there state.Store)) {
	t.Run("memory", func(t *testing.T) {
		store := state.NewMemory()
		test(t, store, store)
	})
	t.Run("redis", func(t *testing.T) {
		redis := kenbuntest.StartRedis(t)
		key := state.NewKey()
		test(t, open(t, redis.URL(), key), open(t, redis.URL(), key))
	})
}

func open(t testing.TB, address string, key *state.Key) state.Store {
	t.Helper()
	store, err := state.Open(t.Context(), state.Config{Address: address, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestStore_SwapsOnlyWhatIsThere(t *testing.T) {
	eachStore(t, func(t *testing.T, here, there state.Store) {
		ctx := t.Context()
		swap := func(store state.Store, old, next string, want bool) {
			t.Helper()
			var oldBytes []byte
			if old != "" {
				oldBytes = []byte(old)
			}
			swapped, err := store.Swap(ctx, "k", oldBytes, []byte(next), time.Minute)
			if err != nil || swapped != want {
				t.Errorf("swap %q for %q: %t, %v; want %t", old, next, swapped, err, want)
			}
		}
		holds := func(store state.Store, want string) {
			t.Helper()
			value, ok, err := store.Get(ctx, "k")
			if err != nil || string(value) != want || ok != (want != "") {
				t.Errorf("there is %q, %t, %v; want %q", value, ok, err, want)
			}
		}
		holds(here, "")
		swap(here, "a", "b", false)
		swap(here, "", "a", true)
		holds(there, "a")
		swap(there, "", "b", false)
		swap(there, "x", "b", false)
		swap(there, "a", "b", true)
		swap(there, "a", "b", true) // the same again, as after a lost answer
		swap(here, "a", "c", false)
		holds(here, "b")
		binary := "\x00\r\n\xff"
		swap(here, "b", binary, true)
		holds(there, binary)
	})
}

func TestStore_ForgetsInTime(t *testing.T) {
	eachStore(t, func(t *testing.T, here, there state.Store) {
		ctx := t.Context()
		if _, err := here.Swap(ctx, "k", nil, []byte("v"), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		await(t, "the value ends", func() bool {
			_, ok, err := there.Get(ctx, "k")
			return err == nil && !ok
		})
		if swapped, err := here.Swap(ctx, "k", []byte("v"), []byte("w"), time.Minute); err != nil || swapped {
			t.Errorf("what has ended is swapped: %t, %v", swapped, err)
		}
		if swapped, err := here.Swap(ctx, "k", nil, []byte("w"), time.Minute); err != nil || !swapped {
			t.Errorf("what has ended is in the way: %t, %v", swapped, err)
		}
		for i := range 3 {
			if n, err := here.Count(ctx, "long", time.Minute); err != nil || n != i+1 {
				t.Errorf("count %d, %v; want %d", n, err, i+1)
			}
		}
		if n, err := here.Count(ctx, "short", 80*time.Millisecond); err != nil || n != 1 {
			t.Errorf("a first count is %d, %v", n, err)
		}
		await(t, "the counter begins anew", func() bool {
			n, err := there.Count(ctx, "short", 80*time.Millisecond)
			return err == nil && n == 1
		})
	})
}

func TestStore_OneOfManyIsFirst(t *testing.T) {
	eachStore(t, func(t *testing.T, here, there state.Store) {
		var first, counted atomic.Int64
		var all sync.WaitGroup
		for i := range 50 {
			store := []state.Store{here, there}[i%2]
			all.Go(func() {
				is, err := state.Once(t.Context(), store, "once", time.Minute)
				if err != nil {
					t.Error(err)
				}
				if is {
					first.Add(1)
				}
				n, err := store.Count(t.Context(), "n", time.Minute)
				if err != nil {
					t.Error(err)
				}
				counted.Add(int64(n))
			})
		}
		all.Wait()
		if first.Load() != 1 || counted.Load() != 50*51/2 {
			t.Errorf("%d were first, want 1; the counts add up to %d", first.Load(), counted.Load())
		}
	})
}

func TestStore_TakesFromOneBucketUntilItIsEmpty(t *testing.T) {
	eachStore(t, func(t *testing.T, here, there state.Store) {
		ctx, slow := t.Context(), ratelimit.Limit{Burst: 20, Interval: time.Hour}
		var taken atomic.Int64
		var all sync.WaitGroup
		for i := range 50 {
			store := []state.Store{here, there}[i%2]
			all.Go(func() {
				level, err := store.Take(ctx, "slow", slow)
				if err != nil {
					t.Error(err)
				}
				if level.Taken {
					taken.Add(1)
				}
			})
		}
		all.Wait()
		if taken.Load() != 20 {
			t.Errorf("%d were taken from a bucket of 20", taken.Load())
		}
		near := func(got, want time.Duration) bool { return got <= want && got > want-time.Minute }
		empty, err := there.Take(ctx, "slow", slow)
		if err != nil || empty.Taken || empty.Remaining != 0 || !near(empty.Wait, time.Hour) || !near(empty.Full, 20*time.Hour) {
			t.Errorf("an empty bucket is %+v, %v", empty, err)
		}
		first, err := here.Take(ctx, "other", slow)
		if err != nil || !first.Taken || first.Remaining != 19 || first.Wait != 0 || !near(first.Full, time.Hour) {
			t.Errorf("another bucket is %+v, %v", first, err)
		}
		quick := ratelimit.Limit{Burst: 2, Interval: 40 * time.Millisecond}
		await(t, "the bucket is empty", func() bool {
			level, err := here.Take(ctx, "quick", quick)
			return err == nil && !level.Taken
		})
		await(t, "it fills again", func() bool {
			level, err := there.Take(ctx, "quick", quick)
			return err == nil && level.Taken
		})
	})
}

func TestStore_GivesEachDueNameToOne(t *testing.T) {
	eachStore(t, func(t *testing.T, here, there state.Store) {
		ctx, now := t.Context(), time.Now()
		for i := range 30 {
			at := now.Add(-time.Duration(i) * time.Second)
			if i >= 20 {
				at = now.Add(time.Hour)
			}
			if err := here.Schedule(ctx, fmt.Sprintf("n%02d", i), at); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var got []string
		var all sync.WaitGroup
		for i := range 10 {
			store := []state.Store{here, there}[i%2]
			all.Go(func() {
				names, err := store.Due(ctx, now, time.Minute, 3)
				if err != nil || len(names) > 3 {
					t.Error(names, err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, names...)
			})
		}
		all.Wait()
		slices.Sort(got)
		if len(got) != 20 || len(slices.Compact(got)) != 20 || got[19] != "n19" {
			t.Errorf("due were %v", got)
		}
		if again, err := there.Due(ctx, now.Add(59*time.Second), time.Minute, 100); err != nil || len(again) > 0 {
			t.Errorf("within the lease they come again: %v, %v", again, err)
		}
		if err := there.Unschedule(ctx, "n00"); err != nil {
			t.Fatal(err)
		}
		again, err := here.Due(ctx, now.Add(61*time.Second), time.Minute, 100)
		if err != nil || len(again) != 19 || slices.Contains(again, "n00") {
			t.Errorf("after the lease there are %v, %v", again, err)
		}
		if later, err := here.Due(ctx, now.Add(2*time.Hour), time.Minute, 100); err != nil || len(later) != 29 {
			t.Errorf("later there are %v, %v", later, err)
		}
	})
}

func TestOpen_SaysWhatItTakes(t *testing.T) {
	for _, address := range []string{"", "x", "http://localhost", "redis://", "redis:opaque", "redis://localhost/x", "redis://localhost/0?x=1", "redis://localhost:6379:1/"} {
		_, err := state.Open(t.Context(), state.Config{Address: address, Key: state.NewKey()})
		if err == nil || !strings.Contains(err.Error(), "redis://user:password@host:port/database") {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := state.Open(t.Context(), state.Config{Address: "redis://127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "--state-key-file") {
		t.Errorf("without a key: %v", err)
	}
}

// await waits for what must come.
func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come: %s", what)
		}
	}
}
