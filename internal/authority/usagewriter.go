package authority

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
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

const (
	usageQueue    = 8192
	usageBatch    = 256
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

	queue   chan tokenUse
	flushes chan chan struct{}
	quit    chan struct{}
	done    chan struct{}
	storing context.Context // ends what is being stored
	abandon context.CancelFunc
	lost    atomic.Int64

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
		queue:    make(chan tokenUse, usageQueue),
		flushes:  make(chan chan struct{}),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
		unpruned: unpruned,
	}
	w.storing, w.abandon = context.WithCancel(context.Background())
	go w.run()
	return w, nil
}

// record takes a use in, or counts it as lost.
func (w *usageWriter) record(use tokenUse) {
	select {
	case w.queue <- use:
	default:
		w.lost.Add(1)
	}
}

// flush waits until the uses that were recorded before are stored, but no longer
// than usagePatience.
func (w *usageWriter) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, usagePatience)
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
	var batch []tokenUse
	for {
		// A batch that could not be stored waits for the next tick, and the queue
		// behind it fills.
		queue := w.queue
		if len(batch) >= usageBatch {
			queue = nil
		}
		select {
		case use := <-queue:
			if batch = append(batch, use); len(batch) == usageBatch {
				batch = w.store(batch)
			}
		case <-tick.C:
			batch = w.store(batch)
		case stored := <-w.flushes:
			batch = w.drain(batch)
			close(stored)
		case <-prune.C:
			w.pruneOld()
		case <-w.quit:
			if lost := len(w.drain(batch)) + len(w.queue) + int(w.lost.Load()); lost > 0 {
				w.log.Warn("uses of tokens were not recorded", slog.Int("lost", lost))
			}
			return
		}
	}
}

// drain stores the batch and what is in the queue, and returns what could not be
// stored.
func (w *usageWriter) drain(batch []tokenUse) []tokenUse {
	for {
		for len(batch) < usageBatch && len(w.queue) > 0 {
			batch = append(batch, <-w.queue)
		}
		if len(batch) == 0 {
			return batch
		}
		if batch = w.store(batch); len(batch) > 0 {
			return batch
		}
	}
}

// store returns what is to be tried again: all of the batch while the database
// is away, and otherwise nothing.
func (w *usageWriter) store(batch []tokenUse) []tokenUse {
	if lost := w.lost.Swap(0); lost > 0 {
		w.log.Warn("uses of tokens were not recorded: there were more than can be stored", slog.Int64("lost", lost))
	}
	if len(batch) == 0 {
		return batch
	}
	ctx, cancel := context.WithTimeout(w.storing, usageTimeout)
	defer cancel()
	err := w.db.change(ctx, func(tx *sql.Tx) error {
		if err := insertUses(ctx, tx, batch); err != nil {
			return err
		}
		return w.pruneMany(ctx, tx, batch)
	})
	if err == nil {
		w.failing = false
		return batch[:0]
	}
	again := w.db.unavailable(err)
	if !w.failing || !again {
		w.log.Warn("uses of tokens could not be recorded", slog.Int("uses", len(batch)), slog.Bool("tried_again", again), slog.Any("error", err))
	}
	w.failing = true
	if again {
		return batch
	}
	return batch[:0]
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
