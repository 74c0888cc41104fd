package tokens

import (
	"context"
	"github.com/kenbun/kenbun-mcp/tools"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowJournal recovers when it is told to.
type slowJournal struct {
	Journal
	recovering atomic.Int64
	proceed    chan struct{}
}

func (j *slowJournal) Recover(context.Context, tools.Caller) ([]Recovered, error) {
	j.recovering.Add(1)
	<-j.proceed
	return []Recovered{{Name: "x", Outcome: RecoveredRevoked}}, nil
}

func settlingFor(callerID string) settling {
	return settling{
		caller: tools.Caller{ID: callerID}, log: slog.New(slog.DiscardHandler), wait: 15 * time.Second,
		start: func(do func()) { go do() }, found: func(Recovered) {},
	}
}

// A token that a call made meanwhile could be taken for one that was left
// behind.
func TestCallsOfTheSameCallerWaitForWhatWasLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &slowJournal{proceed: make(chan struct{})}
		r := newRecoveries(journal, time.Now)
		var settled atomic.Int64
		for range 5 {
			go func() {
				if r.settle(t.Context(), settlingFor("ada")) == nil {
					settled.Add(1)
				}
			}()
		}
		synctest.Wait()
		if got, runs := settled.Load(), journal.recovering.Load(); got != 0 || runs != 1 {
			t.Errorf("%d calls went on, and it was looked %d times", got, runs)
		}
		if told := r.take("ada"); len(told) != 0 {
			t.Errorf("%q is told before it is known", told)
		}

		// Who hangs up waits no longer.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.settle(gone, settlingFor("ada")); err == nil {
			t.Error("a call that was cancelled goes on")
		}

		close(journal.proceed)
		synctest.Wait()
		if got := settled.Load(); got != 5 {
			t.Errorf("%d calls went on in the end", got)
		}
		if told := r.take("ada"); len(told) != 1 {
			t.Errorf("%q is told", told)
		}
	})
}

// What was looked at for callers who came once must not pile up.
func TestA28_RecoveriesAreForgotten(t *testing.T) {
	journal := &slowJournal{proceed: make(chan struct{})}
	close(journal.proceed)
	r := newRecoveries(journal, time.Now)
	for i := range 3 * maxRecoveries {
		id := strconv.Itoa(i)
		if err := r.settle(t.Context(), settlingFor(id)); err != nil {
			t.Fatal(err)
		}
		r.take(id)
	}
	if n := len(r.known); n > maxRecoveries {
		t.Errorf("%d callers are remembered, want at most %d", n, maxRecoveries)
	}
}
