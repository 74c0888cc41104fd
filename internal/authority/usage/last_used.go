// Package usage records the uses of tokens, outside of the requests that use them.
package usage

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// Store keeps the uses of tokens.
type Store interface {
	// StoreLastUse stores when a token was used, unless less than interval after a stored
	// use, and moves it to another pepper if rehash is not nil.
	StoreLastUse(ctx context.Context, tokenID string, at time.Time, interval time.Duration, rehash *domain.Rehash) error
	// StoreUses stores uses, of which some may be stored already, and then keeps only the
	// newest uses of the tokens to prune.
	StoreUses(ctx context.Context, uses []domain.Use, prune []string, keep int) error
	// RemoveUses removes the uses before a time.
	RemoveUses(ctx context.Context, before time.Time) error
	// MayTryAgain reports whether an operation failed because the store is away.
	MayTryAgain(err error) bool
}

const (
	// lastUsedInterval is the precision of a token's last use, which saves writes.
	lastUsedInterval = time.Minute

	// lastUsedPatience is how long a request waits for its own use to be stored, usually
	// a millisecond, so that a list after it shows the use.
	lastUsedPatience = 50 * time.Millisecond

	lastUsedTimeout = 10 * time.Second

	// closeTimeout bounds the storing of waiting uses at the end.
	closeTimeout = 5 * time.Second

	lastUsedQueue = 256
)

type lastUse struct {
	tokenID string
	at      time.Time
	rehash  *domain.Rehash
	stored  chan struct{}
}

// LastUsed stores when tokens were last used.
type LastUsed struct {
	store Store
	log   *slog.Logger
	uses  chan *lastUse
	quit  chan struct{}
	done  chan struct{}

	// Patience is how long a request waits. Change it before the first use only.
	Patience time.Duration

	storing context.Context // ends what is being stored
	abandon context.CancelFunc

	mu      sync.Mutex
	pending map[string]*lastUse
}

// NewLastUsed starts to store uses until Stop.
func NewLastUsed(store Store, log *slog.Logger) *LastUsed {
	w := &LastUsed{
		store: store, log: log, Patience: lastUsedPatience,
		uses:    make(chan *lastUse, lastUsedQueue),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		pending: map[string]*lastUse{},
	}
	w.storing, w.abandon = context.WithCancel(context.Background())
	go w.run()
	return w
}

// Record implements [domain.LastUse].
func (w *LastUsed) Record(ctx context.Context, token *domain.Record, at time.Time, rehash *domain.Rehash) {
	if rehash != nil && token.Rehashing.Swap(true) {
		rehash = nil
	}
	last := token.LastUsed.Load()
	if rehash == nil && last != 0 && at.Sub(time.UnixMicro(last)) < lastUsedInterval {
		return
	}
	pending := w.enqueue(lastUse{tokenID: token.Identity.CredentialID, at: at, rehash: rehash})
	if pending == nil {
		return
	}
	// A cached record would have each request store the same again.
	token.LastUsed.Store(at.UnixMicro())
	patience := time.NewTimer(w.Patience)
	defer patience.Stop()
	select {
	case <-pending.stored:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// enqueue returns the use that will be stored for the token, or nil if too many wait;
// the next request makes up for it.
func (w *LastUsed) enqueue(u lastUse) *lastUse {
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

func (w *LastUsed) run() {
	defer close(w.done)
	for {
		select {
		case u := <-w.uses:
			w.storeOne(u)
		case <-w.quit:
			for {
				select {
				case u := <-w.uses:
					w.storeOne(u)
				default:
					return
				}
			}
		}
	}
}

func (w *LastUsed) storeOne(u *lastUse) {
	ctx, cancel := context.WithTimeout(w.storing, lastUsedTimeout)
	defer cancel()
	err := w.store.StoreLastUse(ctx, u.tokenID, u.at, lastUsedInterval, u.rehash)
	if err != nil {
		w.log.Warn("the last use of a token could not be stored", slog.String("token_id", u.tokenID), slog.Any("error", err))
	}
	w.mu.Lock()
	delete(w.pending, u.tokenID)
	w.mu.Unlock()
	close(u.stored)
}

// Stop stores what is waiting, for at most five seconds, and ends the writer.
func (w *LastUsed) Stop() {
	defer w.abandon()
	defer time.AfterFunc(closeTimeout, w.abandon).Stop()
	close(w.quit)
	<-w.done
}
