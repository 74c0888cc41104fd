package human

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// revokeTimeout bounds how long the revocation of a token that may be in the
// wrong hands is tried, also when nobody waits for it any more.
const revokeTimeout = 15 * time.Second

// Claimed is a token that its user fetched.
type Claimed struct {
	Token client.Token
	Value client.Secret
}

// ErrNoClaim means that there is no such claim for who asks. It does not tell
// an unknown id from somebody else's.
var ErrNoClaim = errors.New("you have no such claim: it ended long ago, the id was not copied whole, or another token than yours made it")

// errClaimsUnavailable means that the store cannot be asked. Nothing happened
// to the claim.
var errClaimsUnavailable = fmt.Errorf("claims cannot be looked up right now; try again in a moment (%w)", client.ErrUnavailable)

// GoneReason is why a claim is not given out to its owner.
type GoneReason string

// The reasons.
const (
	// GoneFetched: it was fetched before.
	GoneFetched GoneReason = "fetched"
	// GoneExpired: nobody fetched it in time.
	GoneExpired GoneReason = "expired"
	// GoneRevoked: its token is revoked already.
	GoneRevoked GoneReason = "revoked"
)

// GoneError tells the owner of a claim why it is not given out, and what became
// of its token.
type GoneError struct {
	Reason  GoneReason
	TokenID string
	// Revoked reports whether the token is known to be revoked.
	Revoked bool
}

// reasonGone is why c cannot be fetched any more, or otherwise.
func (c *claim) reasonGone(otherwise GoneReason) GoneReason {
	if c.Gone == "" {
		return otherwise
	}
	return c.Gone
}

// Error tells what happened and what to do.
func (e *GoneError) Error() string {
	var what string
	switch e.Reason {
	case GoneFetched:
		what = "somebody fetched this claim before you"
	case GoneExpired:
		what = "this claim was not fetched in time"
	default:
		return "the token of this claim was revoked; create another one if it is still needed"
	}
	if !e.Revoked {
		return fmt.Sprintf("%s, and its token could not be revoked: run `kenbun-mcp tokens revoke %s` now", what, e.TokenID)
	}
	return what + "; its token was revoked, so that it is of no use to anybody. Create another one if it is still needed"
}

// Fetch gives out the token of a claim, once, to the caller whose own token
// made it. The caller's token is checked against the API first, and nothing
// happens to the claim if it does not work.
//
// The errors are [ErrNoClaim], a [*GoneError], those of the API for the
// caller's token, and one that is client.ErrUnavailable where the store cannot
// be reached or the audit log cannot be written.
func (c *Claims) Fetch(ctx context.Context, id string, caller tools.Caller) (*Claimed, error) {
	held, sealed, err := c.find(ctx, id, caller)
	if err != nil {
		return nil, err
	}
	if err := c.confirm(ctx, id, held, caller); err != nil {
		return nil, err
	}
	if held.State != claimWaiting || !c.now().Before(held.Deadline) {
		return nil, c.gone(ctx, id, held, caller)
	}
	if err := c.auditable(id, caller); err != nil {
		return nil, err
	}
	fetched := *held
	fetched.State, fetched.Gone, fetched.Value = claimFetched, GoneFetched, ""
	won, err := c.replace(ctx, id, caller.ID, sealed, &fetched, rememberedFor)
	switch {
	case err != nil:
		c.recordFetch(ctx, id, held, caller, tools.AuditOutcomeOf(err), tools.LeftUnknown)
		return nil, err
	case !won:
		return nil, c.lost(ctx, id, caller)
	}
	c.unschedule(ctx, id)
	c.done(id)
	c.recordFetch(ctx, id, held, caller, tools.OutcomeDone, tools.LeftLive)
	c.observe(ClaimFetched)
	c.log.Info("a claim was fetched", "claim", id, "id", held.TokenID, "caller", caller.ID)
	return &Claimed{Token: held.token(), Value: client.NewSecret(held.Value)}, nil
}

// find returns the claim as it is in the store, if it is the caller's.
func (c *Claims) find(ctx context.Context, id string, caller tools.Caller) (*claim, []byte, error) {
	if !IsClaimID(id) || caller.ID == "" {
		return nil, nil, ErrNoClaim
	}
	sealed, ok, err := c.store.Get(ctx, claimKey(id))
	switch {
	case err != nil:
		c.log.Warn("a claim could not be looked up", "claim", id, "cause", err)
		return nil, nil, errClaimsUnavailable
	case !ok:
		return nil, nil, ErrNoClaim
	}
	held, owner, err := c.unseal(id, sealed)
	if err != nil {
		c.log.Error("a claim could not be opened", "claim", id, "cause", err)
		return nil, nil, ErrNoClaim
	}
	if subtle.ConstantTimeCompare([]byte(owner), []byte(caller.ID)) != 1 {
		c.recordStranger(ctx, id, held, caller, owner)
		c.log.Warn("somebody tried to fetch a claim that is not theirs", "claim", id, "caller", caller.ID, "owner", owner)
		return nil, nil, ErrNoClaim
	}
	return held, sealed, nil
}

// confirm makes sure that the caller's token still works, and that the token to
// be fetched was not revoked meanwhile.
func (c *Claims) confirm(ctx context.Context, id string, held *claim, caller tools.Caller) error {
	token, err := tools.FindToken(ctx, caller.API, held.TokenID)
	if errors.Is(err, client.ErrForbidden) {
		return nil // the API knew the token, and that is what was to be found out
	}
	if err != nil {
		c.recordFetch(ctx, id, held, caller, tools.AuditOutcomeOf(err), held.left())
		return fmt.Errorf("check your token: %w", err)
	}
	if token != nil && token.RevokedAt != nil {
		c.recordFetch(ctx, id, held, caller, tools.AuditOutcome(tools.CodeNotFound), tools.LeftRevoked)
		return &GoneError{Reason: c.settle(ctx, id, caller.ID, GoneRevoked), TokenID: held.TokenID, Revoked: true}
	}
	return nil
}

// lost tells why the claim was not given out after all.
func (c *Claims) lost(ctx context.Context, id string, caller tools.Caller) error {
	held, _, err := c.find(ctx, id, caller)
	if err != nil {
		return err
	}
	return c.gone(ctx, id, held, caller)
}

// gone tells why a claim is not given out, and sees to it that its token is
// revoked. After a first fetch that means that somebody else has it.
func (c *Claims) gone(ctx context.Context, id string, held *claim, caller tools.Caller) error {
	gone := &GoneError{Reason: held.reasonGone(GoneExpired), TokenID: held.TokenID, Revoked: held.State == claimRevoked}
	c.recordFetch(ctx, id, held, caller, tools.AuditOutcome(tools.CodeNotFound), held.left())
	if gone.Reason == GoneFetched {
		c.observe(ClaimContested)
		c.log.Warn("a claim was tried a second time; its token is revoked", "claim", id, "id", held.TokenID, "caller", caller.ID)
	}
	if held.State == claimWaiting {
		c.observe(ClaimExpired)
	}
	if !gone.Revoked {
		gone.Revoked = c.revoke(ctx, id, held, caller, gone.Reason, reasonToRevoke(gone.Reason))
	}
	return gone
}

// TakeBack revokes the token of a claim whose value was fetched and could not be
// handed over. It needs nothing of the store.
func (c *Claims) TakeBack(ctx context.Context, id string, claimed *Claimed, caller tools.Caller) {
	c.observe(ClaimTakenBack)
	c.log.Warn("a claim was fetched and could not be handed over; its token is revoked", "claim", id, "id", claimed.Token.ID)
	held := &claim{TokenID: claimed.Token.ID, Name: claimed.Token.Name, Prefix: claimed.Token.Prefix}
	c.revoke(ctx, id, held, caller, GoneFetched, tools.ReasonNotHandedOver)
}

func (c *Claims) revoke(ctx context.Context, id string, held *claim, caller tools.Caller, reason GoneReason, because tools.AuditReason) bool {
	// What is begun for safety's sake does not end with the request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	err := caller.API.RevokeToken(ctx, held.TokenID)
	c.recordRevocation(ctx, id, held, caller, because, err)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		c.log.Error("the token of a claim could not be revoked", "claim", id, "id", held.TokenID, "prefix", held.Prefix, "cause", err)
		return false
	}
	c.settle(ctx, id, caller.ID, reason)
	return true
}

// settle remembers that a claim's token is revoked, whatever happened to the
// claim meanwhile. It returns why it cannot be fetched: what is known of it
// already, or else reason.
func (c *Claims) settle(ctx context.Context, id, owner string, reason GoneReason) GoneReason {
	const attempts = 5
	for range attempts {
		sealed, ok, err := c.store.Get(ctx, claimKey(id))
		if err != nil || !ok {
			break
		}
		held, _, err := c.unseal(id, sealed)
		if err != nil {
			break
		}
		reason = held.reasonGone(reason)
		if held.State == claimRevoked {
			break
		}
		held.State, held.Gone, held.Value = claimRevoked, reason, ""
		done, err := c.replace(ctx, id, owner, sealed, held, rememberedFor)
		if err == nil && done {
			break
		}
	}
	c.unschedule(ctx, id)
	c.done(id)
	return reason
}

// replace puts next in place of what was read as old, and reports whether that
// was still there.
func (c *Claims) replace(ctx context.Context, id, owner string, old []byte, next *claim, keep time.Duration) (bool, error) {
	sealed, err := c.seal(id, owner, next)
	if err != nil {
		return false, err
	}
	replaced, err := c.store.Swap(ctx, claimKey(id), old, sealed, keep)
	if err != nil {
		// It may have happened, and its answer been lost. Each sealed claim is
		// unlike every other, so that the same Swap finds out.
		replaced, err = c.store.Swap(ctx, claimKey(id), old, sealed, keep)
	}
	if err != nil {
		c.log.Warn("a claim could not be updated", "claim", id, "cause", err)
		return false, errClaimsUnavailable
	}
	return replaced, nil
}
