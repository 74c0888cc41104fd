package human

import (
	"context"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// auditable reports an error while the operator could not read later to whom a
// value was given.
func (c *Claims) auditable(id string, caller tools.Caller) error {
	if c.audit == nil {
		return nil
	}
	if err := c.audit.Ready(); err != nil {
		c.log.Warn("a claim was not given out, since the audit log cannot be written", "claim", id, "caller", caller.ID, "cause", err)
		return errClaimsUnavailable
	}
	return nil
}

// record writes what happened to a claim, for whom, to the audit log.
func (c *Claims) record(ctx context.Context, id string, held *claim, caller tools.Caller, entry audit.Entry) {
	entry.Kind = audit.Token
	if c.audit == nil {
		return
	}
	entry.Time, entry.RequestID = c.now(), tools.RequestID(ctx)
	entry.Caller, entry.TokenPrefix = caller.ID, caller.TokenPrefix
	entry.Claim, entry.Target, entry.Name = id, held.TokenID, held.Name
	c.audit.Record(entry)
}

// recordFetch writes that caller came for a claim.
func (c *Claims) recordFetch(ctx context.Context, id string, held *claim, caller tools.Caller, outcome audit.Outcome, left audit.Left) {
	c.record(ctx, id, held, caller, audit.Entry{Action: audit.ActionFetch, Outcome: outcome, Left: left})
}

// recordStranger writes that caller came for a claim of owner's.
func (c *Claims) recordStranger(ctx context.Context, id string, held *claim, caller tools.Caller, owner string) {
	c.record(ctx, id, held, caller, audit.Entry{
		Action: audit.ActionFetch, Owner: owner, Outcome: audit.Outcome(tools.CodeForbidden), Left: held.left(),
	})
}

// recordRevocation writes that the token of a claim was revoked, or err.
func (c *Claims) recordRevocation(ctx context.Context, id string, held *claim, caller tools.Caller, because audit.Reason, err error) {
	c.record(ctx, id, held, caller, audit.Entry{
		Action: audit.ActionRevoke, Because: because, Outcome: tools.OutcomeOf(err), Left: tokens.LeftAfter(err),
	})
}

// left is what is there of a claim's token, as far as the claim tells.
func (c *claim) left() audit.Left {
	switch {
	case c.State == claimWaiting:
		return audit.LeftWaiting
	case c.isSeenRevoked():
		return audit.LeftRevoked
	default:
		return audit.LeftUnknown
	}
}

// reasonToRevoke is why the token of a claim is revoked that cannot be fetched.
func reasonToRevoke(gone GoneReason) audit.Reason {
	if gone == GoneFetched {
		return audit.ReasonFetchedTwice
	}
	return audit.ReasonNeverFetched
}
