package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// DefaultKeepDead is how long the embedded API keeps tokens that do not work any
// more.
const DefaultKeepDead = 90 * 24 * time.Hour

const (
	forgetInterval = time.Hour
	// forgetBatch is how many tokens one transaction removes, so that none is long.
	forgetBatch   = 200
	forgetTimeout = 30 * time.Second
)

// forgetter removes tokens that were revoked or expired long ago, with all that
// is kept of their use. Several nodes on one database may do so at once.
type forgetter struct {
	db   *database
	log  *slog.Logger
	now  func() time.Time
	keep time.Duration

	stop context.CancelFunc
	done chan struct{}
}

// startForgetter returns nil if everything is kept.
func startForgetter(a *Authority, keep time.Duration) *forgetter {
	if keep == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &forgetter{db: a.db, log: a.log, now: a.now, keep: keep, stop: stop, done: make(chan struct{})}
	go f.run(ctx)
	return f
}

func (f *forgetter) run(ctx context.Context) {
	defer close(f.done)
	tick := time.NewTicker(forgetInterval)
	defer tick.Stop()
	for {
		if forgotten, err := f.forget(ctx); err != nil && ctx.Err() == nil {
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

// forget removes batches until there is nothing to remove. A token stays as long
// as one that was made with it, so that their line can be shown.
func (f *forgetter) forget(ctx context.Context) (forgotten int, err error) {
	for {
		n, err := f.forgetBatch(ctx)
		forgotten += n
		if err != nil || n == 0 {
			return forgotten, err
		}
	}
}

// longDead are tokens that stopped working before $1 and that no token was made
// with.
const longDead = `
	(revoked_at < $1 OR revoked_at IS NULL AND expires_at < $1)
	AND NOT EXISTS (SELECT 1 FROM tokens child WHERE child.parent_id = tokens.id)`

func (f *forgetter) forgetBatch(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	var ids []any
	err := f.db.change(ctx, func(tx *sql.Tx) error {
		var err error
		// An expired token can be extended until the row is locked.
		ids, err = lockLongDead(ctx, tx, f.now().Add(-f.keep))
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

func lockLongDead(ctx context.Context, tx *sql.Tx, before time.Time) (ids []any, err error) {
	rows, err := tx.QueryContext(ctx, `
		UPDATE tokens SET name = name
		WHERE id IN (SELECT id FROM tokens WHERE `+longDead+` LIMIT $2) AND `+longDead+`
		RETURNING id`, toMicros(before), forgetBatch)
	if err != nil {
		return nil, fmt.Errorf("look for old tokens: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("look for old tokens: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func placeholders(n int) string {
	each := make([]string, n)
	for i := range each {
		each[i] = "$" + strconv.Itoa(i+1)
	}
	return "(" + strings.Join(each, ", ") + ")"
}

// close ends the forgetter, in the middle of its work if need be. It may be nil.
func (f *forgetter) close() {
	if f == nil {
		return
	}
	f.stop()
	<-f.done
}
