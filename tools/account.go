package tools

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

const (
	// maxAccounts bounds how many callers' accounts are remembered. A caller that
	// was forgotten costs one more request.
	maxAccounts = 10_000
	// meTimeout bounds how long a change waits to learn who the user is.
	meTimeout = 5 * time.Second
	// refusedFor is how long an API that does not say who the user is is not asked
	// again, and unreachableFor the same for one that could not answer.
	refusedFor     = time.Hour
	unreachableFor = time.Minute
)

// accounts remembers under which account the changes of a caller count.
type accounts struct {
	asking *keyedLock

	mu    sync.Mutex
	known map[string]account // by caller id
}

type account struct {
	key string
	// askAgain is when the API is asked again. Zero: never.
	askAgain time.Time
}

func newAccounts() *accounts {
	return &accounts{asking: newKeyedLock(), known: map[string]account{}}
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

// account returns under which account the call's changes count: that of the user
// if the API says who they are, so that all of their tokens count together, or
// else that of the caller. The API is asked once for each caller. The error says
// that the API does not accept the token.
func (c *call) account(ctx context.Context) (string, error) {
	if c.accountKey != "" {
		return c.accountKey, nil
	}
	key, ok := c.accounts.find(c.caller.ID, c.clock())
	if !ok {
		release, err := c.accounts.asking.lock(ctx, c.caller.ID)
		if err != nil {
			return "", err
		}
		defer release()
		if key, ok = c.accounts.find(c.caller.ID, c.clock()); !ok {
			found, err := c.findAccount(ctx)
			if err != nil {
				return "", err
			}
			c.accounts.remember(c.caller.ID, found)
			key = found.key
		}
	}
	c.accountKey = key
	return key, nil
}

func (c *call) findAccount(ctx context.Context) (account, error) {
	asking, cancel := context.WithTimeout(ctx, meTimeout)
	defer cancel()
	me, err := c.caller.API.Me(asking)
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
		// An API may refuse this call to a good token. A bad one is not counted, or
		// else guesses would fill the store.
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		if _, err := tokenInUse(looking, c.caller); errors.Is(err, client.ErrUnauthenticated) {
			return account{}, upstream(err, "find out who the user is")
		}
	case err != nil && !errors.Is(err, client.ErrForbidden) && !errors.Is(err, client.ErrNotFound):
		again = unreachableFor
	}
	c.logger.Info("the API does not say who the user is; changes are counted for this token alone", "cause", err)
	return account{key: c.accountOf("caller", c.caller.ID), askAgain: c.clock().Add(again)}, nil
}

// accountOf names an account. Ids of another API are those of other users.
func (c *call) accountOf(kind, id string) string {
	return digest(mustMarshal([]string{kind, c.apiAddress, id}))
}
