package tools

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/keylock"
	"github.com/kenbun/kenbun-mcp/tools/changelimit"
)

const (
	// maxAccounts bounds how many callers' accounts are remembered. A forgotten caller
	// costs one more request.
	maxAccounts = 10_000
	// meTimeout bounds how long a change waits to learn who the user is.
	meTimeout = 5 * time.Second
	// lookTimeout is the same for whether the API accepts the token at all.
	lookTimeout = 10 * time.Second
	// refusedFor is how long to wait before asking again an API that does not say who
	// the user is, and unreachableFor the same for one that could not answer.
	refusedFor     = time.Hour
	unreachableFor = time.Minute
)

// accounts remembers which account the changes of a caller count for.
type accounts struct {
	asking *keylock.Lock

	mu    sync.Mutex
	known map[string]account // by caller id
}

type account struct {
	key string
	// askAgain is when the API is asked again. Zero: never.
	askAgain time.Time
}

func newAccounts() *accounts {
	return &accounts{asking: keylock.New(), known: map[string]account{}}
}

func (a *accounts) find(callerID string, now time.Time) (key string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.known[callerID]
	return found.key, ok && (found.askAgain.IsZero() || now.Before(found.askAgain))
}

func (a *accounts) remember(callerID string, found account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.known[callerID]; !there && len(a.known) >= maxAccounts {
		for any := range a.known {
			delete(a.known, any)
			break
		}
	}
	a.known[callerID] = found
}

// Account returns the account that the call's changes count for. It is that of the
// user if the API says who they are, so that all of their tokens count together, or
// else that of the caller. The API is asked once for each caller. The error means that
// the API does not accept the token.
func (c *Call) Account(ctx context.Context) (string, error) {
	if c.accountKey != "" {
		return c.accountKey, nil
	}
	key, ok := c.box.accounts.find(c.Caller.ID, c.Clock())
	if !ok {
		release, err := c.box.accounts.asking.Lock(ctx, c.Caller.ID)
		if err != nil {
			return "", err
		}
		defer release()
		if key, ok = c.box.accounts.find(c.Caller.ID, c.Clock()); !ok {
			found, err := c.findAccount(ctx)
			if err != nil {
				return "", err
			}
			c.box.accounts.remember(c.Caller.ID, found)
			key = found.key
		}
	}
	c.accountKey = key
	return key, nil
}

func (c *Call) findAccount(ctx context.Context) (account, error) {
	asking, cancel := context.WithTimeout(ctx, meTimeout)
	defer cancel()
	me, err := c.Caller.API.Me(asking)
	switch {
	case ctx.Err() != nil:
		return account{}, ctx.Err()
	case err == nil && me.UserID != "":
		return account{key: c.accountOf("user", me.UserID)}, nil
	case err == nil && me.OrgMemberID != "":
		return account{key: c.accountOf("member", me.OrgMemberID)}, nil
	}
	again := refusedFor
	switch {
	case errors.Is(err, client.ErrUnauthenticated):
		// An API may refuse this call to a good token. A bad token is not counted:
		// guesses would fill the store.
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		if err := readList(looking, c.Caller.API); errors.Is(err, client.ErrUnauthenticated) {
			return account{}, Upstream(err, "find out who the user is")
		}
	case err != nil && !errors.Is(err, client.ErrForbidden) && !errors.Is(err, client.ErrNotFound):
		again = unreachableFor
	}
	c.Log.Info("the API does not say who the user is; changes are counted for this token alone", "cause", err)
	return account{key: c.accountOf("caller", c.Caller.ID), askAgain: c.Clock().Add(again)}, nil
}

// accountOf names an account. The same id at another API is another user.
func (c *Call) accountOf(kind, id string) string {
	return Digest(MustMarshal([]string{kind, c.APIAddress(), id}))
}

// changesWindow is the time over which changes are counted.
const changesWindow = time.Minute

func (c *Call) tooManyChanges(wait time.Duration) *Error {
	e := NewError(CodeRateLimited, "the operator of this server allows %d changes a minute, and these are used up; nothing was changed", c.Policy().MaxChangesPerMinute).
		Advise("Tell the user what was done so far, and go on only if they want it.")
	e.RetryAfter = wait
	return e
}

// HeldTo asks limit about the user's account. If the store does not answer, the change
// is refused: nothing is changed uncounted.
func (c *Call) HeldTo(ctx context.Context, limit *changelimit.Limit, ask func(ctx context.Context, account string) (time.Duration, error), tooMany func(time.Duration) *Error) error {
	if limit.Off() {
		return nil
	}
	account, err := c.Account(ctx)
	if err != nil {
		return err
	}
	wait, err := ask(ctx, account)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return NewError(CodeUnavailable, "the user's changes cannot be counted right now; nothing was changed").
			Advise("Call the tool again in a minute. If this goes on, the operator of this server has to check the store of --state.").
			Because(err).Reasoned(ReasonSharedState)
	case wait > 0:
		return tooMany(wait)
	}
	return nil
}

// MayChange returns an error if the user's changes are used up. Call it before asking
// the user.
func (c *Call) MayChange(ctx context.Context) error {
	return c.HeldTo(ctx, c.box.changes, c.box.changes.Wait, c.tooManyChanges)
}

// CountChange counts the change that follows. It checks the audit log again, since the
// user may have taken minutes to decide.
func (c *Call) CountChange(ctx context.Context) error {
	if err := c.Auditable(); err != nil {
		return err
	}
	return c.HeldTo(ctx, c.box.changes, c.box.changes.Take, c.tooManyChanges)
}
