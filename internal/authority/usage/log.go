package usage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

const (
	// DefaultRetention is how long the uses of tokens are kept by default.
	DefaultRetention = 90 * 24 * time.Hour

	// DefaultPerToken is how many uses of one token are kept by default.
	DefaultPerToken = 1000
)

const (
	// usageWaiting bounds the uses that wait to be stored.
	usageWaiting = 8192

	// usageBatch is small, since a memory store blocks requests meanwhile.
	usageBatch    = 64
	usageInterval = 500 * time.Millisecond
	usageTimeout  = 10 * time.Second

	// usagePatience is how long a reader waits for uses that are not stored yet.
	usagePatience = 200 * time.Millisecond

	usagePruneInterval = time.Hour

	// usageTokens bounds the tokens whose uses since the last pruning are counted.
	usageTokens = 10_000
)

// Log stores the uses of tokens, in batches. No request waits for it or fails with it: uses
// beyond its bounds are lost, counted and logged.
type Log struct {
	store     Store
	log       *slog.Logger
	now       func() time.Time
	retention time.Duration
	perToken  int

	// Patience is how long Flush waits. Change it before the first use only.
	Patience time.Duration

	flushes chan chan struct{}
	quit    chan struct{}
	done    chan struct{}
	storing context.Context // ends what is being stored
	abandon context.CancelFunc

	mu      sync.Mutex
	pending map[string]*recentUses
	waiting int
	lost    int

	// unpruned counts the uses of each token that were stored since it was pruned.
	unpruned *simplelru.LRU[string, int]
	failing  bool
}

// NewLog stores uses until Stop. It keeps the newest perToken uses of each token for the
// time of retention.
func NewLog(store Store, retention time.Duration, perToken int, now func() time.Time, log *slog.Logger) (*Log, error) {
	unpruned, err := simplelru.NewLRU[string, int](usageTokens, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare to record the uses of tokens: %w", err)
	}
	w := &Log{
		store: store, log: log, now: now, retention: retention, perToken: perToken, Patience: usagePatience,
		pending:  map[string]*recentUses{},
		flushes:  make(chan chan struct{}),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
		unpruned: unpruned,
	}
	w.storing, w.abandon = context.WithCancel(context.Background())
	go w.run()
	return w, nil
}

// recentUses are the newest uses of one token, as many as are kept.
type recentUses struct {
	uses   []domain.Use
	oldest int // once there are as many as are kept
}

// Record adds a use, or counts it as lost.
func (w *Log) Record(use domain.Use) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recent := w.pending[use.TokenID]
	switch {
	case recent != nil && len(recent.uses) == w.perToken:
		recent.uses[recent.oldest] = use
		recent.oldest = (recent.oldest + 1) % w.perToken
		return
	case w.waiting == usageWaiting:
		w.lost++
		return
	case recent == nil:
		recent = &recentUses{}
		w.pending[use.TokenID] = recent
	}
	recent.uses = append(recent.uses, use)
	w.waiting++
}

// take returns what is waiting, and logs how much was lost.
func (w *Log) take() []domain.Use {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost > 0 {
		w.log.Warn("uses of tokens were not recorded: there were more than can be stored", slog.Int("lost", w.lost))
	}
	taken := make([]domain.Use, 0, w.waiting)
	for _, recent := range w.pending {
		taken = append(taken, recent.uses...)
	}
	w.pending, w.waiting, w.lost = map[string]*recentUses{}, 0, 0
	return taken
}

// Flush waits, not for long, until the uses recorded before are stored.
func (w *Log) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.Patience)
	defer cancel()
	stored := make(chan struct{})
	select {
	case w.flushes <- stored:
	case <-w.done:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-stored:
	case <-ctx.Done():
	}
}

func (w *Log) run() {
	defer close(w.done)
	tick := time.NewTicker(usageInterval)
	defer tick.Stop()
	prune := time.NewTicker(usagePruneInterval)
	defer prune.Stop()
	w.Prune()
	var waiting []domain.Use // what could not be stored, and is tried again
	for {
		select {
		case <-tick.C:
			waiting = w.drain(waiting)
		case stored := <-w.flushes:
			waiting = w.drain(waiting)
			close(stored)
		case <-prune.C:
			w.Prune()
		case <-w.quit:
			if lost := len(w.drain(waiting)) + len(w.take()); lost > 0 {
				w.log.Warn("uses of tokens were not recorded", slog.Int("lost", lost))
			}
			return
		}
	}
}

// drain stores first what could not be stored before, and returns what still cannot.
func (w *Log) drain(waiting []domain.Use) []domain.Use {
	if waiting = w.storeAll(waiting); len(waiting) > 0 {
		return waiting
	}
	return w.storeAll(w.take())
}

// storeAll returns what is to be tried again because the store is away.
func (w *Log) storeAll(uses []domain.Use) []domain.Use {
	for len(uses) > 0 {
		batch := uses[:min(usageBatch, len(uses))]
		if again := w.storeBatch(batch); again {
			return uses
		}
		uses = uses[len(batch):]
	}
	return nil
}

// storeBatch reports whether the batch is to be tried again.
func (w *Log) storeBatch(batch []domain.Use) (again bool) {
	ctx, cancel := context.WithTimeout(w.storing, usageTimeout)
	defer cancel()
	counts := w.counted(batch)
	var prune []string
	for id, n := range counts {
		if n == 0 {
			prune = append(prune, id)
		}
	}
	err := w.store.StoreUses(ctx, batch, prune, w.perToken)
	if err == nil {
		for id, n := range counts {
			w.unpruned.Add(id, n)
		}
		w.failing = false
		return false
	}
	again = w.store.MayTryAgain(err)
	if !w.failing || !again {
		w.log.Warn("uses of tokens could not be recorded", slog.Int("uses", len(batch)), slog.Bool("tried_again", again), slog.Any("error", err))
	}
	w.failing = again
	return again
}

// counted returns how many uses each token of the batch has since it was pruned. Tokens to
// prune now have 0: those with a tenth more than is kept, and those not counted so far.
func (w *Log) counted(batch []domain.Use) map[string]int {
	counts := map[string]int{}
	for _, use := range batch {
		n, counted := counts[use.TokenID]
		if counted && n == 0 {
			continue
		}
		if !counted {
			var known bool
			if n, known = w.unpruned.Get(use.TokenID); !known {
				counts[use.TokenID] = 0
				continue
			}
		}
		if n++; n > w.perToken/10 {
			n = 0
		}
		counts[use.TokenID] = n
	}
	return counts
}

// Prune removes the uses that are older than the retention.
func (w *Log) Prune() {
	ctx, cancel := context.WithTimeout(w.storing, usageTimeout)
	defer cancel()
	if err := w.store.RemoveUses(ctx, w.now().Add(-w.retention)); err != nil {
		w.log.Warn("old uses of tokens could not be removed", slog.Any("error", err))
	}
}

// Stop stores what is waiting, for at most five seconds, and ends the log.
func (w *Log) Stop() {
	defer w.abandon()
	defer time.AfterFunc(closeTimeout, w.abandon).Stop()
	close(w.quit)
	<-w.done
}
