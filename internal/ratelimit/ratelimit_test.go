package ratelimit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

func TestPerMinute_BurstIsASixthAndAtLeastTen(t *testing.T) {
	for n, want := range map[int]ratelimit.Limit{
		1:    {Burst: 10, Interval: time.Minute},
		60:   {Burst: 10, Interval: time.Second},
		600:  {Burst: 100, Interval: 100 * time.Millisecond},
		3000: {Burst: 500, Interval: 20 * time.Millisecond},
	} {
		if got := ratelimit.PerMinute(n); got != want {
			t.Errorf("%d a minute: %+v, want %+v", n, got, want)
		}
	}
}

func TestTable_EmptiesAndFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, limit := ratelimit.NewTable(10), ratelimit.Limit{Burst: 3, Interval: time.Second}
		take := func(want ratelimit.Level) {
			t.Helper()
			if got := table.Take("k", limit); got != want {
				t.Errorf("level %+v, want %+v", got, want)
			}
		}
		take(ratelimit.Level{Taken: true, Remaining: 2, Full: time.Second})
		take(ratelimit.Level{Taken: true, Remaining: 1, Full: 2 * time.Second})
		take(ratelimit.Level{Taken: true, Wait: time.Second, Full: 3 * time.Second})
		take(ratelimit.Level{Wait: time.Second, Full: 3 * time.Second})
		if other := table.Take("other", limit); other.Remaining != 2 {
			t.Errorf("another key: %+v", other)
		}
		time.Sleep(999 * time.Millisecond) // the bubble's clock
		take(ratelimit.Level{Wait: time.Millisecond, Full: 2001 * time.Millisecond})
		time.Sleep(time.Millisecond)
		if got, want := table.Look("k", limit), (ratelimit.Level{Remaining: 1, Full: 2 * time.Second}); got != want {
			t.Errorf("a look: %+v, want %+v", got, want)
		}
		take(ratelimit.Level{Taken: true, Wait: time.Second, Full: 3 * time.Second})
		time.Sleep(time.Hour)
		take(ratelimit.Level{Taken: true, Remaining: 2, Full: time.Second})
	})
}

func TestTable_GivesEachTokenOnce(t *testing.T) {
	table, limit := ratelimit.NewTable(10), ratelimit.Limit{Burst: 50, Interval: time.Hour}
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if table.Take("k", limit).Taken {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 50 {
		t.Errorf("%d were taken from a bucket of 50", taken.Load())
	}
}

func TestR23_A28_MillionKeysTakeBoundedMemory(t *testing.T) {
	const size = 10_000
	table, limit := ratelimit.NewTable(size), ratelimit.PerMinute(1)
	before := heap()
	for range 1_000_000 {
		table.Take(rand.Text(), limit)
	}
	if grown := heap() - before; table.Len() > size || grown > 8<<20 {
		t.Errorf("%d buckets and %d KiB after a million keys", table.Len(), grown>>10)
	}
	runtime.KeepAlive(table)
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestTable_FullBucketsTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, limit := ratelimit.NewTable(1000), ratelimit.Limit{Burst: 10, Interval: time.Second}
		for i := range 500 {
			table.Take(strconv.Itoa(i), limit)
		}
		time.Sleep(time.Minute) // the bubble's clock
		for range 300 {
			table.Take("one", limit)
		}
		if table.Len() != 1 {
			t.Errorf("%d buckets, want the one that is in use", table.Len())
		}
	})
}

func TestTable_WhoIsFloodedKeepsItsLevel(t *testing.T) {
	table, limit := ratelimit.NewTable(100), ratelimit.Limit{Burst: 2, Interval: time.Hour}
	for i := range 1000 {
		if level := table.Take("used", limit); level.Taken != (i < 2) {
			t.Fatalf("take %d: %+v", i, level)
		}
		table.Take(strconv.Itoa(i), limit)
	}
}

// store answers as the test says.
type store struct {
	asked atomic.Int32
	fail  atomic.Pointer[error]
	hang  atomic.Bool
}

func (s *store) Take(ctx context.Context, _ string, limit ratelimit.Limit) (ratelimit.Level, error) {
	s.asked.Add(1)
	if err := ctx.Err(); err != nil {
		return ratelimit.Level{}, err
	}
	if s.hang.Load() {
		<-ctx.Done()
		return ratelimit.Level{}, ctx.Err()
	}
	if err := s.fail.Load(); err != nil {
		return ratelimit.Level{}, *err
	}
	return limit.At(limit.Interval, true), nil
}

func TestShared_StoreThatFailsIsLeftAloneAndToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &store{}
		shared := ratelimit.NewShared(s, ratelimit.NewTable(10), slog.New(slog.NewTextHandler(&log, nil)))
		limit := ratelimit.Limit{Burst: 5, Interval: time.Hour}
		shared.Take(t.Context(), "k", limit)
		down := errors.New("no connection")
		s.fail.Store(&down)
		taken := 0
		for range 100 {
			if shared.Take(t.Context(), "k", limit).Taken {
				taken++
			}
		}
		if taken != 5 || s.asked.Load() != 2 {
			t.Errorf("%d taken, want the 5 of the own bucket; the store was asked %d times, want twice", taken, s.asked.Load())
		}
		time.Sleep(5 * time.Second) // the bubble's clock
		for range 100 {
			shared.Take(t.Context(), "k", limit)
		}
		if s.asked.Load() != 3 {
			t.Errorf("after a rest the store was asked %d times more, want once", s.asked.Load()-2)
		}
		if told := strings.Count(log.String(), "level=WARN"); told != 1 {
			t.Errorf("the outage is told %d times: %s", told, log.String())
		}
		s.fail.Store(nil)
		time.Sleep(5 * time.Second)
		for range 100 {
			if level := shared.Take(t.Context(), "k", limit); !level.Taken {
				t.Fatal("the store is back and does not count")
			}
		}
		if !strings.Contains(log.String(), "shared again") {
			t.Errorf("the end of the outage is not told: %s", log.String())
		}
	})
}

func TestShared_StoreThatHangsSlowsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		s.hang.Store(true)
		shared := ratelimit.NewShared(s, ratelimit.NewTable(10), slog.New(slog.DiscardHandler))
		began := time.Now()
		for range 50 {
			shared.Take(t.Context(), "k", ratelimit.PerMinute(60))
		}
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("50 requests took %s", took)
		}
	})
}

func TestShared_OneOfManyTriesWhetherTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		s.hang.Store(true)
		shared := ratelimit.NewShared(s, ratelimit.NewTable(10), slog.New(slog.DiscardHandler))
		shared.Take(t.Context(), "k", ratelimit.PerMinute(60))
		time.Sleep(10 * time.Second) // the bubble's clock
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { shared.Take(t.Context(), "k", ratelimit.PerMinute(60)) })
		}
		all.Wait()
		if s.asked.Load() != 2 {
			t.Errorf("%d requests waited for a store that hangs, want one", s.asked.Load()-1)
		}
	})
}

func TestShared_ClientThatWentAwayIsNoOutage(t *testing.T) {
	s := &store{}
	shared := ratelimit.NewShared(s, ratelimit.NewTable(10), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		shared.Take(ctx, "k", ratelimit.PerMinute(60))
	}
	if s.asked.Load() != 3 {
		t.Errorf("the store was asked %d times, want 3", s.asked.Load())
	}
}
