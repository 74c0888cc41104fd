package tools

import (
	"context"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/changelimit"
)

// changesWindow is the time over which changes are counted.
const changesWindow = time.Minute

func (c *Call) tooManyChanges(wait time.Duration) *Error {
	e := NewError(CodeRateLimited, "the operator of this server allows %d changes a minute, and these are used up; nothing was changed", c.Policy().MaxChangesPerMinute).
		Advise("Tell the user what was done so far, and go on only if they want it.")
	e.RetryAfter = wait
	return e
}

// HeldTo asks a limit about the user's account. Nothing is changed uncounted, so
// a store that does not answer is a no.
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

// MayChange reports an error if the user's changes are used up, before the
// user is asked in vain.
func (c *Call) MayChange(ctx context.Context) error {
	return c.HeldTo(ctx, c.box.changes, c.box.changes.Wait, c.tooManyChanges)
}

// CountChange counts the change that follows, which the operator's log must be
// able to take: a user may have thought for minutes.
func (c *Call) CountChange(ctx context.Context) error {
	if err := c.Auditable(); err != nil {
		return err
	}
	return c.HeldTo(ctx, c.box.changes, c.box.changes.Take, c.tooManyChanges)
}
