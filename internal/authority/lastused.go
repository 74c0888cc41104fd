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

	// closeTimeout bounds how long what is waiting to be stored keeps an
	// authority from being closed.
	closeTimeout = 5 * time.Second

	lastUsedQueue = 256
)

type use struct {
	tokenID string
	at      time.Time
	rehash  *rehash // nil if the token is stored under the newest pepper
	stored  chan struct{}
}

// rehash moves a token to the newest pepper, which can be done only while its
// value is at hand.
type rehash struct {
	version  int64
	from, to string // digests
}

// lastUsedWriter stores uses one after the other, away from the requests.
type lastUsedWriter struct {
	db   *database
	log  *slog.Logger
	uses chan *use
	quit chan struct{}
	done chan struct{}

	patience time.Duration // lastUsedPatience but in tests

	storing context.Context // ends what is being stored
	abandon context.CancelFunc

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

		patience: lastUsedPatience,
	}
	w.storing, w.abandon = context.WithCancel(context.Background())
	go w.run()
	return w
}

// record stores that a token was used, unless that was stored less than
// lastUsedInterval before.
func (w *lastUsedWriter) record(ctx context.Context, token *credentialRecord, u use) {
	if u.rehash != nil && token.rehashing.Swap(true) {
		u.rehash = nil
	}
	last := token.lastUsed.Load()
	if u.rehash == nil && last != 0 && u.at.Sub(fromMicros(last)) < lastUsedInterval {
		return
	}
	pending := w.enqueue(u)
	if pending == nil {
		return
	}
	// A remembered record must not have each request store the same again.
	token.lastUsed.Store(toMicros(u.at))
	patience := time.NewTimer(w.patience)
	defer patience.Stop()
	select {
	case <-pending.stored:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// enqueue returns the use that will be stored for the token, or nil if there
// are too many already: it is made up for by the next request.
func (w *lastUsedWriter) enqueue(u use) *use {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pending := w.pending[u.tokenID]; pending != nil {
		return pending
	}
	u.stored = make(chan struct{})
	select {
	case w.uses <- &u:
		w.pending[u.tokenID] = &u
		return &u
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
	ctx, cancel := context.WithTimeout(w.storing, lastUsedTimeout)
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
		if u.rehash == nil {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE tokens SET pepper_version = $1, digest = $2 WHERE id = $3 AND digest = $4`,
			u.rehash.version, u.rehash.to, u.tokenID, u.rehash.from)
		if err != nil {
			return fmt.Errorf("move the token to the newest pepper: %w", err)
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

// stop stores what is waiting, for as long as closeTimeout, and ends the writer.
func (w *lastUsedWriter) stop() {
	defer w.abandon()
	defer time.AfterFunc(closeTimeout, w.abandon).Stop()
	close(w.quit)
	<-w.done
}
