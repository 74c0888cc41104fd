package tools

import (
	"slices"
	"sync"
	"time"
)

// The times over which changes, and new tokens, are counted.
const (
	changesWindow   = time.Minute
	creationsWindow = 24 * time.Hour
)

// changes counts what each caller changed of late, so that a model that was
// talked into a spree is stopped by the clock.
type changes struct {
	limit  int
	window time.Duration
	clock  func() time.Time

	mu     sync.Mutex
	recent map[string][]time.Time // by caller id, oldest first
}

func newChanges(limit int, window time.Duration, clock func() time.Time) *changes {
	return &changes{limit: limit, window: window, clock: clock, recent: map[string][]time.Time{}}
}

// wait returns how long the caller has to wait before the next change; zero
// means not at all.
func (c *changes) wait(callerID string) time.Duration {
	if c.limit <= 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waitLocked(callerID, c.clock())
}

func (c *changes) waitLocked(callerID string, now time.Time) time.Duration {
	recent := slices.DeleteFunc(c.recent[callerID], func(at time.Time) bool { return now.Sub(at) >= c.window })
	if len(recent) == 0 {
		delete(c.recent, callerID)
		return 0
	}
	c.recent[callerID] = recent
	if len(recent) < c.limit {
		return 0
	}
	return c.window - now.Sub(recent[len(recent)-c.limit])
}

// take counts a change, or returns how long to wait before it may be made.
func (c *changes) take(callerID string) time.Duration {
	if c.limit <= 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if wait := c.waitLocked(callerID, now); wait > 0 {
		return wait
	}
	c.sweep(now)
	c.recent[callerID] = append(c.recent[callerID], now)
	return 0
}

// sweep forgets callers that changed nothing of late, so that memory is bounded
// by how many callers change something within the window.
func (c *changes) sweep(now time.Time) {
	for id, recent := range c.recent {
		if now.Sub(recent[len(recent)-1]) >= c.window {
			delete(c.recent, id)
		}
	}
}

func (c *call) tooManyChanges(wait time.Duration) *Error {
	e := newError(CodeRateLimited, "the operator of this server allows %d changes a minute, and these are used up; nothing was changed", c.policy.MaxChangesPerMinute).
		next("Tell the person what was done so far, and go on only if they want it.")
	e.RetryAfter = wait
	return e
}

// mayChange reports an error if the caller's changes are used up, before the
// person is asked in vain.
func (c *call) mayChange() error {
	if wait := c.changes.wait(c.caller.ID); wait > 0 {
		return c.tooManyChanges(wait)
	}
	return nil
}

// countChange counts the change that follows, which the operator's log must be
// able to take: a person may have thought for minutes.
func (c *call) countChange() error {
	if err := c.auditable(); err != nil {
		return err
	}
	if wait := c.changes.take(c.caller.ID); wait > 0 {
		return c.tooManyChanges(wait)
	}
	return nil
}

func (c *call) tooManyCreations(wait time.Duration) *Error {
	e := newError(CodeRateLimited, "the operator of this server allows %d new tokens in 24 hours, and these are used up; nothing was made", c.policy.MaxTokensPerDay).
		next("Use a token that is there already, or wait. Each new token stays in the user's list, also when it is dead.")
	e.RetryAfter = wait
	return e
}

// mayCreate is mayChange for a new token.
func (c *call) mayCreate() error {
	if wait := c.creations.wait(c.caller.ID); wait > 0 {
		return c.tooManyCreations(wait)
	}
	return c.mayChange()
}

// countCreation is countChange for a new token.
func (c *call) countCreation() error {
	if wait := c.creations.wait(c.caller.ID); wait > 0 {
		return c.tooManyCreations(wait)
	}
	if err := c.countChange(); err != nil {
		return err
	}
	if wait := c.creations.take(c.caller.ID); wait > 0 {
		return c.tooManyCreations(wait)
	}
	return nil
}
