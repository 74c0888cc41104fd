package authority

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// lastUsedInterval is how exact a token's last use is kept: a write for
	// each request would make reading as dear as writing.
	lastUsedInterval = time.Minute

	// lastUsedPatience is how long a request waits for its own use to be
	// stored. Mostly that takes a millisecond, and then a list that follows
	// shows it; when the store is locked the request goes on without.
	lastUsedPatience = 50 * time.Millisecond

	lastUsedTimeout = 10 * time.Second
	lastUsedQueue   = 256
)

type use struct {
	tokenID string
	at      time.Time
	stored  chan struct{}
}

// lastUsedWriter stores uses one after the other, away from the requests.
type lastUsedWriter struct {
	db   *database
	log  *slog.Logger
	uses chan *use
	quit chan struct{}
	done chan struct{}

	mu      sync.Mutex
	pending map[string]*use
}

func startLastUsedWriter(db *database, log *slog.Logger) *lastUsedWriter {
	w := &lastUsedWriter{
		db: db, log: log,
		uses:    make(chan *use, lastUsedQueue),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		pending: map[string]*use{},
	}
	go w.run()
	return w
}

// record stores that a token was used, unless that was stored less than
// lastUsedInterval before.
func (w *lastUsedWriter) record(ctx context.Context, tokenID string, stored *time.Time, at time.Time) {
	if stored != nil && at.Sub(*stored) < lastUsedInterval {
		return
	}
	u := w.enqueue(tokenID, at)
	if u == nil {
		return
	}
	patience := time.NewTimer(lastUsedPatience)
	defer patience.Stop()
	select {
	case <-u.stored:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// enqueue returns the use that will be stored for the token, or nil if there
// are too many already: it is made up for by the next request.
func (w *lastUsedWriter) enqueue(tokenID string, at time.Time) *use {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u := w.pending[tokenID]; u != nil {
		return u
	}
	u := &use{tokenID: tokenID, at: at, stored: make(chan struct{})}
	select {
	case w.uses <- u:
		w.pending[tokenID] = u
		return u
	default:
		return nil
	}
}

func (w *lastUsedWriter) run() {
	defer close(w.done)
	for {
		select {
		case u := <-w.uses:
			w.store(u)
		case <-w.quit:
			for {
				select {
				case u := <-w.uses:
					w.store(u)
				default:
					return
				}
			}
		}
	}
}

func (w *lastUsedWriter) store(u *use) {
	ctx, cancel := context.WithTimeout(context.Background(), lastUsedTimeout)
	defer cancel()
	err := w.db.change(ctx, func(tx *sql.Tx) error {
		// The condition keeps a second process from writing the same minute
		// again, and the time from going back.
		_, err := tx.ExecContext(ctx, `
			UPDATE tokens SET last_used_at = $1
			WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)`,
			toMicros(u.at), u.tokenID, toMicros(u.at.Add(-lastUsedInterval)))
		if err != nil {
			return fmt.Errorf("store the last use: %w", err)
		}
		return nil
	})
	if err != nil {
		w.log.Warn("the last use of a token could not be stored", slog.String("token_id", u.tokenID), slog.Any("error", err))
	}
	w.mu.Lock()
	delete(w.pending, u.tokenID)
	w.mu.Unlock()
	close(u.stored)
}

// stop stores what is waiting and ends the writer.
func (w *lastUsedWriter) stop() {
	close(w.quit)
	<-w.done
}
