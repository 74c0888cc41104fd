package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"
)

// DefaultKeepDead is how long revoked and expired tokens are kept.
const DefaultKeepDead = 90 * 24 * time.Hour

const (
	forgetInterval = time.Hour
	// forgetBatch bounds the tokens that one transaction removes.
	forgetBatch   = 200
	forgetTimeout = 30 * time.Second
)

// Retention removes tokens that were revoked or expired long ago, with their uses.
// Several nodes may do so at once. A nil Retention keeps everything.
type Retention struct {
	db   *Store
	log  *slog.Logger
	now  func() time.Time
	keep time.Duration

	stop context.CancelFunc
	done chan struct{}
}

// StartRetention removes tokens in the background, keep after they stopped working, until
// Close. It returns nil if keep is 0.
func StartRetention(db *Store, keep time.Duration, now func() time.Time, log *slog.Logger) *Retention {
	if keep == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Retention{db: db, log: log, now: now, keep: keep, stop: stop, done: make(chan struct{})}
	go f.run(ctx)
	return f
}

func (f *Retention) run(ctx context.Context) {
	defer close(f.done)
	tick := time.NewTicker(forgetInterval)
	defer tick.Stop()
	for {
		if forgotten, err := f.db.RemoveDead(ctx, f.now().Add(-f.keep)); err != nil && ctx.Err() == nil {
			f.log.Warn("old tokens could not be removed", slog.Int("removed", forgotten), slog.Any("error", err))
		} else if forgotten > 0 {
			f.log.Info("tokens that were revoked or expired long ago are removed", slog.Int("removed", forgotten))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// RemoveDead removes the tokens that stopped working before a time, and returns how many
// there were. A token stays as long as one that was made with it.
func (db *Store) RemoveDead(ctx context.Context, before time.Time) (removed int, err error) {
	for {
		n, err := db.removeBatch(ctx, before)
		removed += n
		if err != nil || n == 0 {
			return removed, err
		}
	}
}

// longDead selects tokens that stopped working before $1 and made no other token.
const longDead = `
	(revoked_at < $1 OR revoked_at IS NULL AND expires_at < $1)
	AND NOT EXISTS (SELECT 1 FROM tokens child WHERE child.parent_id = tokens.id)`

func (db *Store) removeBatch(ctx context.Context, before time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	var ids []any
	err := db.change(ctx, func(tx *sql.Tx) error {
		var err error
		// An expired token can be extended until the row is locked.
		ids, err = collect(ctx, tx, "look for old tokens", func(rows *sql.Rows) (any, error) {
			var id string
			err := rows.Scan(&id)
			return id, err
		}, `
			UPDATE tokens SET name = name
			WHERE id IN (SELECT id FROM tokens WHERE `+longDead+` LIMIT $2) AND `+longDead+`
			RETURNING id`, toMicros(before), forgetBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		list := placeholders(len(ids))
		for _, statement := range []string{
			`DELETE FROM token_uses WHERE token_id IN ` + list,
			`DELETE FROM tokens WHERE id IN ` + list,
		} {
			if _, err := tx.ExecContext(ctx, statement, ids...); err != nil {
				return fmt.Errorf("remove old tokens: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(ids), nil
}

// Close ends the work, also in the middle of it.
func (f *Retention) Close() {
	if f == nil {
		return
	}
	f.stop()
	<-f.done
}
