package tools

import (
	"context"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/changelimit"
)

// The times over which changes, and new tokens, are counted.
const (
	changesWindow   = time.Minute
	creationsWindow = 24 * time.Hour
)

func (c *call) tooManyChanges(wait time.Duration) *Error {
	e := newError(CodeRateLimited, "the operator of this server allows %d changes a minute, and these are used up; nothing was changed", c.policy.MaxChangesPerMinute).
		next("Tell the person what was done so far, and go on only if they want it.")
	e.RetryAfter = wait
	return e
}

func (c *call) tooManyCreations(wait time.Duration) *Error {
	e := newError(CodeRateLimited, "the operator of this server allows %d new tokens in 24 hours, and these are used up; nothing was made", c.policy.MaxTokensPerDay).
		next("Use a token that is there already, or wait. Each new token stays in the user's list, also when it is dead.")
	e.RetryAfter = wait
	return e
}

// heldTo asks a limit about the user's account. Nothing is changed uncounted, so
// a store that does not answer is a no.
func (c *call) heldTo(ctx context.Context, limit *changelimit.Limit, ask func(ctx context.Context, account string) (time.Duration, error), tooMany func(time.Duration) *Error) error {
	if limit.Off() {
		return nil
	}
	account, err := c.account(ctx)
	if err != nil {
		return err
	}
	wait, err := ask(ctx, account)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return newError(CodeUnavailable, "the user's changes cannot be counted right now; nothing was changed").
			next("Call the tool again in a minute. If this goes on, the operator of this server has to check the store of --state. " +
				"A token that must be revoked now can be revoked in kenbun under Settings > Integrations > Personal Tokens.").
			because(err).reasoned(reasonSharedState)
	case wait > 0:
		return tooMany(wait)
	}
	return nil
}

// mayChange reports an error if the user's changes are used up, before the
// user is asked in vain.
func (c *call) mayChange(ctx context.Context) error {
	return c.heldTo(ctx, c.changes, c.changes.Wait, c.tooManyChanges)
}

// countChange counts the change that follows, which the operator's log must be
// able to take: a user may have thought for minutes.
func (c *call) countChange(ctx context.Context) error {
	if err := c.auditable(); err != nil {
		return err
	}
	return c.heldTo(ctx, c.changes, c.changes.Take, c.tooManyChanges)
}

// mayCreate is mayChange for a new token.
func (c *call) mayCreate(ctx context.Context) error {
	if err := c.heldTo(ctx, c.creations, c.creations.Wait, c.tooManyCreations); err != nil {
		return err
	}
	return c.mayChange(ctx)
}

// countCreation is countChange for a new token.
func (c *call) countCreation(ctx context.Context) error {
	if err := c.heldTo(ctx, c.creations, c.creations.Wait, c.tooManyCreations); err != nil {
		return err
	}
	if err := c.countChange(ctx); err != nil {
		return err
	}
	return c.heldTo(ctx, c.creations, c.creations.Take, c.tooManyCreations)
}
