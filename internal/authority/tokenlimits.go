package authority

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// countInterval is how often a process stores what it has counted, and
	// hears what others did.
	countInterval = time.Second

	// countShare is the part of a limit that a process lets through before it
	// has told the others.
	countShare = 10

	// countTimeout bounds the reading and the storing of counts, and so what a
	// request may have to wait for that. Mostly it takes a few milliseconds.
	countTimeout = 2 * time.Second

	// countIdle is how long a count stays in memory that is stored or of no
	// further use.
	countIdle = time.Minute
)

// tokenLimits count the requests of each token in fixed periods, from whole
// minute to whole minute and from midnight to midnight, UTC. A process counts
// in memory and stores the counts in batches, so that they outlive it, and that
// several on one database add up. What one of them lets through is stored
// a second later, or when it is a tenth of the limit, which the next request of
// that token waits for: no more than that tenth is let through too often by each
// further process, as long as the store works.
type tokenLimits struct {
	limits []RateLimit
	counts *requestCounts // nil: nothing is stored
	log    *slog.Logger
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}

	storing sync.Mutex // held before mu

	mu       sync.Mutex
	patience time.Duration // countTimeout but in tests
	tokens   map[string]*tokenCount
	dirty    map[string]*tokenCount // those with something to store
	onWay    map[string]*tokenCount // those that are being stored
	stored   chan struct{}          // closed when a storing ends, in which case there is another
	failed   bool                   // the last storing did, and nobody waits for the next
	swept    time.Time
}

// tokenCount is what is known of one token.
type tokenCount struct {
	ready   chan struct{} // closed when what is stored has been read
	windows []countWindow // one for each limit
	seen    time.Time
}

// countWindow is the count of the period that begins at start.
type countWindow struct {
	start  time.Time
	stored int // by all processes, as far as is known here
	onWay  int // counted here and being stored
	added  int // counted here since
}

func (w *countWindow) unstored() int { return w.onWay + w.added }
func (w *countWindow) requests() int { return w.stored + w.unstored() }

// newTokenLimits starts to store counts in the background if counts is not nil,
// until stop. Without limits it returns nil.
func newTokenLimits(limits []RateLimit, counts *requestCounts, log *slog.Logger) *tokenLimits {
	if len(limits) == 0 {
		return nil
	}
	l := &tokenLimits{
		limits: limits, counts: counts, log: log,
		wake:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
		tokens: map[string]*tokenCount{},
		dirty:  map[string]*tokenCount{},
		stored: make(chan struct{}),

		patience: countTimeout,
	}
	if counts == nil {
		close(l.done)
	} else {
		go l.run()
	}
	return l
}

// take counts a request of a token at the time now, unless one of the limits is
// reached.
func (l *tokenLimits) take(ctx context.Context, tokenID string, now time.Time) (rateLevel, error) {
	count := l.countOf(ctx, tokenID, now)
	select {
	case <-count.ready:
	case <-ctx.Done():
		return rateLevel{}, fmt.Errorf("wait for the request count: %w", context.Cause(ctx))
	}
	for {
		level, stored := l.tryTake(tokenID, count, now)
		if stored == nil {
			return level, nil
		}
		select {
		case <-stored:
		case <-ctx.Done():
			return rateLevel{}, fmt.Errorf("wait for the request count: %w", context.Cause(ctx))
		}
	}
}

// tryTake is take, or returns what is to be waited for before.
func (l *tokenLimits) tryTake(tokenID string, count *tokenCount, now time.Time) (_ rateLevel, stored <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	level := l.level(count, now)
	if !level.taken {
		return level, nil
	}
	if l.counts != nil {
		if l.ahead(count) {
			select {
			case l.wake <- struct{}{}:
			default:
			}
			if !l.failed {
				return rateLevel{}, l.stored
			}
		}
		l.dirty[tokenID] = count
	}
	for i := range count.windows {
		count.windows[i].added++
	}
	return level, nil
}

// ahead tells whether so much of a limit is not stored that the others must know
// of it first.
func (l *tokenLimits) ahead(count *tokenCount) bool {
	for i, limit := range l.limits {
		if count.windows[i].unstored() >= max(limit.Requests/countShare, 1) {
			return true
		}
	}
	return false
}

// level finds the limit that ends first, or the one that must be waited for the
// longest, as it will be after a request at the time now.
func (l *tokenLimits) level(count *tokenCount, now time.Time) rateLevel {
	var tightest, refusing *rateLevel
	for i, limit := range l.limits {
		w := &count.windows[i]
		// A clock that is set back does not bring a period back.
		if start := now.Truncate(limit.Period); start.After(w.start) {
			*w = countWindow{start: start}
		}
		level := rateLevel{
			taken: true, limit: limit, capacity: limit.Requests,
			remaining: max(limit.Requests-w.requests()-1, 0), reset: w.start.Add(limit.Period).Sub(now),
		}
		if level.remaining == 0 {
			level.wait = level.reset
		}
		if w.requests() >= limit.Requests {
			level.taken = false
			if refusing == nil || level.wait > refusing.wait {
				refusing = &level
			}
		}
		if tightest == nil || level.remaining < tightest.remaining {
			tightest = &level
		}
	}
	if refusing != nil {
		return *refusing
	}
	return *tightest
}

// countOf returns the count of a token, which is being read from the store if it
// is not ready.
func (l *tokenLimits) countOf(ctx context.Context, tokenID string, now time.Time) *tokenCount {
	l.mu.Lock()
	l.sweep(now)
	count, known := l.tokens[tokenID]
	if !known {
		count = &tokenCount{ready: make(chan struct{}), windows: make([]countWindow, len(l.limits))}
		l.tokens[tokenID] = count
	}
	count.seen = now
	patience := l.patience
	l.mu.Unlock()
	if known {
		return count
	}
	var stored []storedCount
	if l.counts != nil {
		// Others wait for the outcome, so that it does not end with this request.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		var err error
		if stored, err = l.counts.read(ctx, tokenID); err != nil {
			l.log.Warn("the requests of a token are counted from zero here until they can be stored",
				slog.String("token_id", tokenID), slog.Any("error", err))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range stored {
		l.learn(count, s)
	}
	close(count.ready)
	return count
}

// learn takes over what the store says of a period.
func (l *tokenLimits) learn(count *tokenCount, s storedCount) {
	for i, limit := range l.limits {
		w := &count.windows[i]
		switch {
		case limit.Period != s.period || s.start.Before(w.start):
		case s.start.After(w.start):
			*w = countWindow{start: s.start, stored: s.requests}
		default:
			w.stored, w.onWay = s.requests, 0
		}
	}
}

// sweep forgets the counts that nobody has asked for in a while, if they can be
// read again or their periods are over.
func (l *tokenLimits) sweep(now time.Time) {
	if now.Sub(l.swept) < countIdle {
		return
	}
	l.swept = now
	for id, count := range l.tokens {
		if now.Sub(count.seen) >= countIdle && l.forgettable(id, count, now) {
			delete(l.tokens, id)
		}
	}
}

func (l *tokenLimits) forgettable(id string, count *tokenCount, now time.Time) bool {
	if l.counts != nil {
		return l.dirty[id] == nil && l.onWay[id] == nil
	}
	for i, limit := range l.limits {
		if now.Before(count.windows[i].start.Add(limit.Period)) {
			return false
		}
	}
	return true
}

func (l *tokenLimits) run() {
	defer close(l.done)
	ticker := time.NewTicker(countInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.quit:
			l.store()
			return
		case <-ticker.C:
		case <-l.wake:
		}
		l.store()
	}
}

// store adds what was counted here to the stored counts and learns what they
// are then.
func (l *tokenLimits) store() {
	l.storing.Lock()
	defer l.storing.Unlock()
	l.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), l.patience)
	defer cancel()
	l.onWay, l.dirty = l.dirty, map[string]*tokenCount{}
	var added []storedCount
	for id, count := range l.onWay {
		for i, limit := range l.limits {
			w := &count.windows[i]
			if w.added > 0 {
				added = append(added, storedCount{tokenID: id, period: limit.Period, start: w.start, requests: w.added})
				w.onWay, w.added = w.added, 0
			}
		}
	}
	l.mu.Unlock()
	if len(added) == 0 {
		return
	}
	totals, err := l.counts.add(ctx, added)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range totals {
		l.learn(l.onWay[s.tokenID], s)
	}
	if err != nil {
		l.log.Warn("the requests of tokens could not be stored and are counted here alone", slog.Any("error", err))
		for _, s := range added[len(totals):] {
			l.putBack(s.tokenID, l.onWay[s.tokenID])
		}
	}
	l.onWay = nil
	l.ended(err != nil)
}

// ended has those go on who wait for a storing to end.
func (l *tokenLimits) ended(failed bool) {
	l.failed = failed
	close(l.stored)
	l.stored = make(chan struct{})
}

// putBack makes what could not be stored something that is still to be stored.
func (l *tokenLimits) putBack(tokenID string, count *tokenCount) {
	l.dirty[tokenID] = count
	for i := range count.windows {
		w := &count.windows[i]
		w.onWay, w.added = 0, w.added+w.onWay
	}
}

// stop stores what is still to be stored.
func (l *tokenLimits) stop() {
	if l == nil {
		return
	}
	close(l.quit)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended(true)
}
