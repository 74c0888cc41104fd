package claims

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// revokeTimeout bounds a revocation, which outlives its request.
const revokeTimeout = 15 * time.Second

// Claimed is a token that its user fetched.
type Claimed struct {
	Token client.Token
	Value client.Secret
}

// ErrNoClaim indicates that the caller has no such claim. It is the same for unknown ids and
// for other users' claims.
var ErrNoClaim = errors.New("you have no such claim: it ended long ago, the id was not copied whole, another token than yours made it, or the server is known by another address than the one that you gave")

// errUnavailable indicates that the store cannot be asked, and nothing happened to the claim.
var errUnavailable = fmt.Errorf("claims cannot be looked up right now; try again in a moment (%w)", client.ErrUnavailable)

// Fetch returns the token of a claim, once, to the caller whose token made it. It first checks
// the caller's token against the API; if that fails, the claim stays as it is.
//
// The errors are [ErrNoClaim], [*GoneError], the API's for the caller's token, and
// client.ErrUnavailable if the store or the audit log cannot be used.
func (c *Claims) Fetch(ctx context.Context, id string, caller tools.Caller) (*Claimed, error) {
	held, sealed, err := c.find(ctx, id, caller)
	if err != nil {
		return nil, err
	}
	if err := c.confirm(ctx, id, held, caller); err != nil {
		return nil, err
	}
	var value client.Secret
	if held.State == claimWaiting {
		if value, err = open(id, held, caller); err != nil {
			c.log.Error("a claim could not be opened with its owner's token", "claim", id, "caller", caller.ID, "cause", err)
			return nil, ErrNoClaim
		}
	}
	if err := c.giveOut(ctx, id, held, sealed, caller); err != nil {
		return nil, err
	}
	return &Claimed{Token: held.token(), Value: value}, nil
}

// open opens what was sealed for the caller.
func open(id string, held *claim, caller tools.Caller) (client.Secret, error) {
	if caller.API == nil {
		return client.Secret{}, claimkey.ErrNotSealed
	}
	keys, err := claimkey.Derive(caller.API, id)
	if err != nil {
		return client.Secret{}, err
	}
	payload, err := keys.Open(held.Sealed)
	if err != nil {
		return client.Secret{}, err
	}
	return client.NewSecret(payload.Token), nil
}

// Sealed is a fetched token, sealed under a key that only its user has.
type Sealed struct {
	// Sealed is for the user. See package claimkey.
	Sealed []byte
	held   *claim
	owner  string
}

// FetchSealed returns the sealed token of a claim, once, for a proof of the token that made it.
// proof must be the one for one of hosts, the names under which the request may have reached
// this server. The user's token is not at hand, and so is not checked against the API.
//
// The errors are those of [Claims.Fetch], without the API's.
func (c *Claims) FetchSealed(ctx context.Context, id string, proof []byte, hosts []string) (*Sealed, error) {
	held, owner, sealed, err := c.look(ctx, id)
	if err != nil {
		return nil, err
	}
	if !held.isProved(id, proof, hosts) {
		c.recordStranger(ctx, id, held, tools.Caller{}, owner)
		c.log.Warn("somebody tried to fetch a claim without the right proof", "claim", id, "owner", owner)
		return nil, ErrNoClaim
	}
	if err := c.giveOut(ctx, id, held, sealed, held.owner(owner)); err != nil {
		return nil, err
	}
	return &Sealed{Sealed: held.Sealed, held: held, owner: owner}, nil
}

// isProved reports whether proof is the right one for any of hosts.
func (c *claim) isProved(id string, proof []byte, hosts []string) bool {
	return len(c.ProofKey) > 0 && slices.ContainsFunc(hosts, func(host string) bool { return claimkey.Proves(proof, c.ProofKey, id, host) })
}

// giveOut marks a claim as fetched by its owner, or returns why it cannot be fetched.
func (c *Claims) giveOut(ctx context.Context, id string, held *claim, sealed []byte, caller tools.Caller) error {
	if held.State != claimWaiting || !c.now().Before(held.Deadline) {
		return c.gone(ctx, id, held, caller)
	}
	if err := c.auditable(id, caller); err != nil {
		return err
	}
	fetched := *held
	fetched.State, fetched.Gone, fetched.Sealed = claimFetched, GoneFetched, nil
	won, err := c.replace(ctx, id, caller.ID, sealed, &fetched, rememberedFor)
	switch {
	case err != nil:
		c.recordFetch(ctx, id, held, caller, tools.OutcomeOf(err), audit.LeftUnknown)
		return err
	case !won: // another request was faster
		if held, _, err = c.find(ctx, id, caller); err != nil {
			return err
		}
		return c.gone(ctx, id, held, caller)
	}
	c.unschedule(ctx, id)
	c.done(id)
	c.recordFetch(ctx, id, held, caller, audit.OutcomeDone, audit.LeftLive)
	c.observe(EventFetched)
	c.log.Info("a claim was fetched", "claim", id, "id", held.TokenID, "caller", caller.ID)
	return nil
}

// look returns a claim, its owner, and its stored form.
func (c *Claims) look(ctx context.Context, id string) (held *claim, owner string, sealed []byte, _ error) {
	if !IsID(id) {
		return nil, "", nil, ErrNoClaim
	}
	sealed, ok, err := c.store.Get(ctx, claimKey(id))
	switch {
	case err != nil:
		c.log.Warn("a claim could not be looked up", "claim", id, "cause", err)
		return nil, "", nil, errUnavailable
	case !ok:
		return nil, "", nil, ErrNoClaim
	}
	held, owner, err = c.unseal(id, sealed)
	if err != nil {
		c.log.Error("a claim could not be opened", "claim", id, "cause", err)
		return nil, "", nil, ErrNoClaim
	}
	return held, owner, sealed, nil
}

// find is look for the claim's owner alone.
func (c *Claims) find(ctx context.Context, id string, caller tools.Caller) (*claim, []byte, error) {
	if caller.ID == "" {
		return nil, nil, ErrNoClaim
	}
	held, owner, sealed, err := c.look(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if subtle.ConstantTimeCompare([]byte(owner), []byte(caller.ID)) != 1 {
		c.recordStranger(ctx, id, held, caller, owner)
		c.log.Warn("somebody tried to fetch a claim that is not theirs", "claim", id, "caller", caller.ID, "owner", owner)
		return nil, nil, ErrNoClaim
	}
	return held, sealed, nil
}

// confirm checks that the caller's token works, and that the claimed one is not revoked.
func (c *Claims) confirm(ctx context.Context, id string, held *claim, caller tools.Caller) error {
	token, err := tokens.Find(ctx, caller.API, held.TokenID)
	if errors.Is(err, client.ErrForbidden) {
		return nil // the API knew the token, and that is what was to be found out
	}
	if err != nil {
		c.recordFetch(ctx, id, held, caller, tools.OutcomeOf(err), held.left())
		return fmt.Errorf("check your token: %w", err)
	}
	if token != nil && token.RevokedAt != nil {
		c.recordFetch(ctx, id, held, caller, audit.Outcome(tools.CodeNotFound), audit.LeftRevoked)
		return &GoneError{Reason: c.settle(ctx, id, caller.ID, GoneRevoked, true), TokenID: held.TokenID, Revoked: true}
	}
	return nil
}

// gone returns why a claim cannot be fetched, and revokes its token. After a first fetch,
// somebody else may have it.
func (c *Claims) gone(ctx context.Context, id string, held *claim, caller tools.Caller) error {
	gone := &GoneError{Reason: held.reasonGone(GoneExpired), TokenID: held.TokenID, Revoked: held.isSeenRevoked()}
	c.recordFetch(ctx, id, held, caller, audit.Outcome(tools.CodeNotFound), held.left())
	if gone.Reason == GoneFetched {
		c.observe(EventContested)
		c.log.Warn("a claim was tried a second time; its token is to be revoked", "claim", id, "id", held.TokenID, "caller", caller.ID)
	}
	if held.State == claimWaiting {
		c.observe(EventExpired)
	}
	if !gone.Revoked && (held.State != claimRevoked || caller.API != nil) {
		gone.Revoked = c.revoke(ctx, id, held, caller, gone.Reason, reasonToRevoke(gone.Reason))
	}
	return gone
}

// TakeBack revokes a fetched token that could not be delivered. It works without the store.
func (c *Claims) TakeBack(ctx context.Context, id string, claimed *Claimed, caller tools.Caller) {
	held := &claim{TokenID: claimed.Token.ID, Name: claimed.Token.Name, Prefix: claimed.Token.Prefix}
	c.takeBack(ctx, id, held, caller)
}

// TakeBackSealed is [Claims.TakeBack] for a sealed token.
func (c *Claims) TakeBackSealed(ctx context.Context, id string, claimed *Sealed) {
	c.takeBack(ctx, id, claimed.held, claimed.held.owner(claimed.owner))
}

func (c *Claims) takeBack(ctx context.Context, id string, held *claim, caller tools.Caller) {
	c.observe(EventTakenBack)
	c.log.Warn("a claim was fetched and could not be handed over; its token is to be revoked", "claim", id, "id", held.TokenID)
	c.revoke(ctx, id, held, caller, GoneFetched, audit.ReasonNotHandedOver)
}

// revoke revokes the token of a claim as the caller, or with the token itself if the caller's
// token is not at hand. It reports whether the token is certainly revoked. If not, others try.
func (c *Claims) revoke(ctx context.Context, id string, held *claim, caller tools.Caller, reason GoneReason, because audit.Reason) bool {
	// A revocation does not end with the request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	var err error
	if caller.API != nil {
		err = caller.API.RevokeToken(ctx, held.TokenID)
	} else {
		err = c.revokeWithItself(ctx, held)
	}
	c.recordRevocation(ctx, id, held, caller, because, err)
	switch {
	case err == nil, errors.Is(err, client.ErrNotFound):
		c.settle(ctx, id, caller.ID, reason, true)
		return true
	case errors.Is(err, errNotAccepted):
		c.log.Warn("the token of a claim is not accepted any more", "claim", id, "id", held.TokenID, "prefix", held.Prefix, "cause", err)
		c.settle(ctx, id, caller.ID, reason, false)
		return false
	}
	c.leaveToOthers(ctx, id, caller.ID, reason)
	what := "the token of a claim could not be revoked"
	if errors.Is(err, client.ErrOutcomeUnknown) {
		what = "it is not certain that the token of a claim is revoked"
	}
	c.log.Error(what, "claim", id, "id", held.TokenID, "prefix", held.Prefix, "cause", err)
	return false
}

// settle records that nothing more can be done about a claim's token: it is revoked, or not
// accepted any more. seen means that it is certainly revoked. It returns why the claim cannot
// be fetched: the recorded reason, or else reason.
func (c *Claims) settle(ctx context.Context, id, owner string, reason GoneReason, seen bool) GoneReason {
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
		if held.State == claimRevoked && (!held.Unseen || !seen) {
			break
		}
		held.State, held.Unseen, held.Gone, held.Sealed, held.ToRevoke = claimRevoked, !seen, reason, nil, nil
		done, err := c.replace(ctx, id, owner, sealed, held, rememberedFor)
		if err == nil && done {
			break
		}
	}
	c.unschedule(ctx, id)
	c.done(id)
	return reason
}

// replace replaces the stored form old by next, and reports whether old was still there.
func (c *Claims) replace(ctx context.Context, id, owner string, old []byte, next *claim, keep time.Duration) (bool, error) {
	sealed, err := c.seal(id, owner, next)
	if err != nil {
		return false, err
	}
	replaced, err := c.store.Swap(ctx, claimKey(id), old, sealed, keep)
	if err != nil {
		// The answer may have been lost. Sealed claims are unique, so the same Swap tells.
		replaced, err = c.store.Swap(ctx, claimKey(id), old, sealed, keep)
	}
	if err != nil {
		c.log.Warn("a claim could not be updated", "claim", id, "cause", err)
		return false, errUnavailable
	}
	return replaced, nil
}

// Limits of failed tries. The owner is never delayed.
const (
	maxWrongTriesPerClaim   = 5
	wrongTriesPerClaimKept  = 10 * time.Minute
	maxWrongTriesPerAddress = 20
	wrongTriesPerAddress    = time.Minute
)

// wrongTriesOfAll bounds the tries of everybody at one process, so that strangers with many
// addresses do not fill the store: 1,000 at once, and as many a minute.
var wrongTriesOfAll = ratelimit.Limit{Burst: 1000, Interval: time.Minute / 1000}

// WrongTry counts a try from a network address that failed with [ErrNoClaim], whether the id
// is known or not. It returns how long to block further tries; zero for few tries. Beyond the
// limits of the address or of everybody, nothing is written to the store.
func (c *Claims) WrongTry(ctx context.Context, id, from string) (wait time.Duration, err error) {
	if !c.wrongTries.Take("", wrongTriesOfAll).Taken {
		return wrongTriesPerAddress, nil
	}
	fromAddress, err := c.store.Count(ctx, "wrong-from:"+from, wrongTriesPerAddress)
	switch {
	case err != nil:
		return 0, errUnavailable
	case fromAddress > maxWrongTriesPerAddress:
		return wrongTriesPerAddress, nil
	}
	atClaim, err := c.store.Count(ctx, "wrong-at:"+id, wrongTriesPerClaimKept)
	switch {
	case err != nil:
		return 0, errUnavailable
	case atClaim > maxWrongTriesPerClaim:
		return wrongTriesPerClaimKept, nil
	}
	return 0, nil
}
