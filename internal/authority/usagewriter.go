package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// DefaultUsageRetention is how long the uses of tokens are kept when
	// [Config.UsageRetention] is zero.
	DefaultUsageRetention = 90 * 24 * time.Hour

	// DefaultUsagePerToken is how many uses of one token are kept when
	// [Config.UsagePerToken] is zero.
	DefaultUsagePerToken = 1000
)

// usageInsert is how many uses one statement stores. SQLite looks for each
// parameter of the form $1 among all before it, so that a statement for a whole
// batch costs many times as much.
const usageInsert = 16

const (
	// usageWaiting bounds the uses that wait to be stored.
	usageWaiting = 8192

	// usageBatch is small, since in memory the requests wait for it.
	usageBatch    = 64
	usageInterval = 500 * time.Millisecond
	usageTimeout  = 10 * time.Second

	// usagePatience is how long a look at the uses waits for those that are not
	// stored yet.
	usagePatience = 200 * time.Millisecond

	usagePruneInterval = time.Hour

	// usageTokens bounds the tokens for which is counted what was stored since
	// they were last pruned.
	usageTokens = 10_000
)

// usageWriter stores what tokens are used for, in batches and away from the
// requests. No request waits for it or fails with it: what it cannot take in is
// lost, counted and logged.
type usageWriter struct {
	db        *database
	log       *slog.Logger
	now       func() time.Time
	retention time.Duration
	perToken  int

	patience time.Duration // usagePatience but in tests

	flushes chan chan struct{}
	quit    chan struct{}
	done    chan struct{}
	storing context.Context // ends what is being stored
	abandon context.CancelFunc

	mu      sync.Mutex
	pending map[string]*recentUses
	waiting int
	lost    int

	// unpruned counts, for each token, the uses that were stored since its
	// oldest were removed.
	unpruned *simplelru.LRU[string, int]
	failing  bool
}

func startUsageWriter(a *Authority, retention time.Duration, perToken int) (*usageWriter, error) {
	unpruned, err := simplelru.NewLRU[string, int](usageTokens, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare to record the uses of tokens: %w", err)
	}
	w := &usageWriter{
		db: a.db, log: a.log, now: a.now, retention: retention, perToken: perToken,
		patience: usagePatience,
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

// recentUses are the newest uses of one token, of which there are never more
// than are kept: what came before those would be removed as soon as it was
// stored.
type recentUses struct {
	uses   []tokenUse
	oldest int // once there are as many as are kept
}

// record takes a use in, or counts it as lost.
func (w *usageWriter) record(use tokenUse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recent := w.pending[use.tokenID]
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
		w.pending[use.tokenID] = recent
	}
	recent.uses = append(recent.uses, use)
	w.waiting++
}

// take returns what is waiting, and tells of what was lost.
func (w *usageWriter) take() []tokenUse {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost > 0 {
		w.log.Warn("uses of tokens were not recorded: there were more than can be stored", slog.Int("lost", w.lost))
	}
	taken := make([]tokenUse, 0, w.waiting)
	for _, recent := range w.pending {
		taken = append(taken, recent.uses...)
	}
	w.pending, w.waiting, w.lost = map[string]*recentUses{}, 0, 0
	return taken
}

// flush waits until the uses that were recorded before are stored, but no longer
// than patience.
func (w *usageWriter) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
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

func (w *usageWriter) run() {
	defer close(w.done)
	tick := time.NewTicker(usageInterval)
	defer tick.Stop()
	prune := time.NewTicker(usagePruneInterval)
	defer prune.Stop()
	w.pruneOld()
	var waiting []tokenUse // what could not be stored, and is tried again
	for {
		select {
		case <-tick.C:
			waiting = w.drain(waiting)
		case stored := <-w.flushes:
			waiting = w.drain(waiting)
			close(stored)
		case <-prune.C:
			w.pruneOld()
		case <-w.quit:
			if lost := len(w.drain(waiting)) + len(w.take()); lost > 0 {
				w.log.Warn("uses of tokens were not recorded", slog.Int("lost", lost))
			}
			return
		}
	}
}

// drain stores what could not be stored before and then what came since, and
// returns what could not be stored.
func (w *usageWriter) drain(waiting []tokenUse) []tokenUse {
	if waiting = w.store(waiting); len(waiting) > 0 {
		return waiting
	}
	return w.store(w.take())
}

// store returns what is to be tried again because the database is away.
func (w *usageWriter) store(uses []tokenUse) []tokenUse {
	for len(uses) > 0 {
		batch := uses[:min(usageBatch, len(uses))]
		if again := w.storeBatch(batch); again {
			return uses
		}
		uses = uses[len(batch):]
	}
	return nil
}

// storeBatch tells whether the batch is to be tried again.
func (w *usageWriter) storeBatch(batch []tokenUse) (again bool) {
	ctx, cancel := context.WithTimeout(w.storing, usageTimeout)
	defer cancel()
	err := w.db.change(ctx, func(tx *sql.Tx) error {
		for uses := range slices.Chunk(batch, usageInsert) {
			if err := insertUses(ctx, tx, uses); err != nil {
				return err
			}
		}
		return w.pruneMany(ctx, tx, batch)
	})
	if err == nil {
		w.failing = false
		return false
	}
	again = w.db.unavailable(err) || errors.Is(err, errOutcomeUnknown)
	if !w.failing || !again {
		w.log.Warn("uses of tokens could not be recorded", slog.Int("uses", len(batch)), slog.Bool("tried_again", again), slog.Any("error", err))
	}
	w.failing = again
	return again
}

func insertUses(ctx context.Context, tx *sql.Tx, batch []tokenUse) error {
	var rows strings.Builder
	var values []any
	for _, use := range batch {
		if len(values) > 0 {
			rows.WriteString(", ")
		}
		for i, value := range []any{use.tokenID, toMicros(use.at), use.requestID, use.method, use.path, use.status} {
			values = append(values, value)
			rows.WriteString([]string{"($", ", $"}[min(i, 1)] + strconv.Itoa(len(values)))
		}
		rows.WriteString(")")
	}
	// A batch whose commit was in doubt comes a second time.
	_, err := tx.ExecContext(ctx, `INSERT INTO token_uses (token_id, at, request_id, method, path, status) VALUES `+rows.String()+` ON CONFLICT DO NOTHING`, values...) //nolint:gosec // it is made of placeholders alone
	if err != nil {
		return fmt.Errorf("store the uses of tokens: %w", err)
	}
	return nil
}

// pruneMany removes the oldest uses of tokens that have gathered a tenth more
// than is kept, or of which is not known what they have gathered.
func (w *usageWriter) pruneMany(ctx context.Context, tx *sql.Tx, batch []tokenUse) error {
	for _, use := range batch {
		stored, known := w.unpruned.Get(use.tokenID)
		if known && stored < w.perToken/10 {
			w.unpruned.Add(use.tokenID, stored+1)
			continue
		}
		w.unpruned.Add(use.tokenID, 0)
		_, err := tx.ExecContext(ctx, `
			DELETE FROM token_uses WHERE token_id = $1 AND (at, request_id) <= (
				SELECT at, request_id FROM token_uses WHERE token_id = $2
				ORDER BY at DESC, request_id DESC LIMIT 1 OFFSET $3)`, use.tokenID, use.tokenID, w.perToken)
		if err != nil {
			return fmt.Errorf("remove the oldest uses of a token: %w", err)
		}
	}
	return nil
}

func (w *usageWriter) pruneOld() {
	ctx, cancel := context.WithTimeout(w.storing, usageTimeout)
	defer cancel()
	err := w.db.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM token_uses WHERE at < $1`, toMicros(w.now().Add(-w.retention)))
		return err
	})
	if err != nil {
		w.log.Warn("old uses of tokens could not be removed", slog.Any("error", err))
	}
}

// stop stores what is waiting, for as long as closeTimeout, and ends the writer.
func (w *usageWriter) stop() {
	defer w.abandon()
	defer time.AfterFunc(closeTimeout, w.abandon).Stop()
	close(w.quit)
	<-w.done
}
