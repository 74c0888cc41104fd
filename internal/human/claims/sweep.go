package claims

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

const (
	// sweepEvery is the longest interval between sweeps.
	sweepEvery = 15 * time.Second
	// sweepLease is how long one replica has a due claim, before another tries.
	sweepLease = time.Minute
	sweepBatch = 20
	// maxSweepDelay bounds the delay between attempts to revoke a token.
	maxSweepDelay = time.Hour
	// passOnDelay is the least delay after which another replica may revoke a token.
	passOnDelay = 5 * time.Second
	// passedOnFor is how long a token is passed on.
	passedOnFor = time.Hour
)

// Sweep revokes the tokens of claims that nobody fetched in time, until ctx is done. Several
// processes may sweep one store.
func (c *Claims) Sweep(ctx context.Context) {
	ticker := time.NewTicker(max(min(sweepEvery, c.lifetime/4), time.Millisecond))
	defer ticker.Stop()
	failing := false
	for {
		err := errors.Join(c.Join(ctx), c.sweepDue(ctx))
		if err != nil && ctx.Err() == nil && !failing {
			c.log.Warn("claims that nobody fetched cannot be looked for", "cause", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *Claims) sweepDue(ctx context.Context) error {
	for {
		due, err := c.store.Due(ctx, c.now(), sweepLease, sweepBatch)
		if err != nil {
			return err
		}
		for _, key := range due {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.end(ctx, strings.TrimPrefix(key, claimKey("")), c.now())
		}
		if len(due) < sweepBatch {
			return nil
		}
	}
}

// RevokeWaiting revokes the tokens of all waiting claims, if the store ends with this process.
func (c *Claims) RevokeWaiting(ctx context.Context) error {
	if c.store.Shared() {
		return nil
	}
	forever := c.now().Add(maxSweepDelay + 100*365*24*time.Hour)
	waiting, err := c.store.Due(ctx, forever, sweepLease, math.MaxInt)
	if err != nil {
		return fmt.Errorf("find the claims that still wait: %w", err)
	}
	for i, key := range waiting {
		if ctx.Err() != nil {
			return fmt.Errorf("%d tokens that wait to be claimed could not be looked at before the end: %w", len(waiting)-i, ctx.Err())
		}
		c.end(ctx, strings.TrimPrefix(key, claimKey("")), forever)
	}
	return nil
}

// end ends a claim that came due at now, and revokes its token.
func (c *Claims) end(ctx context.Context, id string, now time.Time) {
	sealed, ok, err := c.store.Get(ctx, claimKey(id))
	if err != nil {
		return // it comes due again after the lease
	}
	if !ok {
		c.unschedule(ctx, id)
		return
	}
	held, owner, err := c.unseal(id, sealed)
	switch {
	case err != nil:
		c.log.Error("a claim that came due could not be opened; its token may live on", "claim", id, "cause", err)
		c.unschedule(ctx, id)
		return
	case held.State == claimFetched || held.State == claimRevoked:
		c.unschedule(ctx, id)
		return
	case held.State == claimWaiting && now.Before(held.Deadline):
		c.postpone(ctx, id, held.Deadline)
		return
	}
	if held.State == claimWaiting {
		ended := *held
		ended.State, ended.Gone = claimEnded, GoneExpired
		// From here on nobody can fetch it, so no fetched token is revoked.
		if taken, err := c.replace(ctx, id, owner, sealed, &ended, keptForRevoking); err != nil || !taken {
			return
		}
		c.observe(EventExpired)
	}
	c.revokeUnfetched(ctx, id, owner, held)
}

// revokeWithItself revokes a token with itself as the credential, since the server keeps no
// other token of the user.
func (c *Claims) revokeWithItself(ctx context.Context, held *claim) error {
	value, err := c.revokers.open(held.ToRevoke)
	if err != nil {
		return err
	}
	err = c.api.As(client.Credential{PAT: value}).RevokeToken(ctx, held.TokenID)
	if errors.Is(err, client.ErrUnauthenticated) && !errors.Is(err, client.ErrOutcomeUnknown) && !c.notYetValid(held) {
		return errNotAccepted
	}
	return err
}

// errNotAccepted indicates that kenbun refuses the token itself: it is revoked, has expired, or
// its user is suspended.
var errNotAccepted = fmt.Errorf("kenbun does not accept the token any more, and it is not certain that it is revoked (%w)", client.ErrOutcomeUnknown)

func (c *Claims) notYetValid(held *claim) bool {
	return held.ValidFrom != nil && c.now().Before(*held.ValidFrom)
}

// leaveToOthers leaves a revocation to a replica, or to the user's next call.
func (c *Claims) leaveToOthers(ctx context.Context, id, owner string, reason GoneReason) {
	sealed, ok, err := c.store.Get(ctx, claimKey(id))
	if err != nil || !ok {
		return
	}
	held, _, err := c.unseal(id, sealed)
	if err != nil || held.State == claimRevoked || held.State == claimEnded {
		return
	}
	held.State, held.Gone, held.Sealed = claimEnded, held.reasonGone(reason), nil
	if done, err := c.replace(ctx, id, owner, sealed, held, keptForRevoking); err != nil || !done {
		return
	}
	c.postpone(ctx, id, c.now())
}

// revokeUnfetched revokes the token of a claim that has ended.
func (c *Claims) revokeUnfetched(ctx context.Context, id, owner string, held *claim) {
	ctx, cancel := context.WithTimeout(ctx, sweepLease/2)
	defer cancel()
	err := c.revokeWithItself(ctx, held)
	if errors.Is(err, errNotARevoker) {
		c.passOn(ctx, id, owner, held)
		return
	}
	because := reasonToRevoke(held.reasonGone(GoneExpired))
	c.recordRevocation(ctx, id, held, held.owner(owner), because, err)
	switch {
	case err == nil, errors.Is(err, client.ErrNotFound):
		c.log.Warn("nobody fetched a claim; its token was revoked", "claim", id, "id", held.TokenID, "caller", owner)
		c.settle(ctx, id, owner, GoneExpired, true)
	case errors.Is(err, errNotAccepted):
		c.log.Warn("nobody fetched a claim; kenbun does not accept its token any more, and it is not certain that it is revoked", "claim", id,
			"id", held.TokenID, "prefix", held.Prefix, "caller", owner)
		c.settle(ctx, id, owner, GoneExpired, false)
	default:
		next := c.now().Add(min(max(c.now().Sub(held.Deadline), sweepLease), maxSweepDelay))
		if c.notYetValid(held) && held.ValidFrom.After(next) {
			next = *held.ValidFrom
		}
		what := "nobody fetched a claim, and its token could not be revoked"
		if errors.Is(err, client.ErrOutcomeUnknown) {
			what = "nobody fetched a claim, and it is not certain that its token is revoked"
		}
		c.log.Error(what, "claim", id, "id", held.TokenID,
			"prefix", held.Prefix, "caller", owner, "next_try", next.UTC().Format(time.RFC3339), "cause", err)
		c.postpone(ctx, id, next)
	}
}

// passOn leaves a claim to a replica that ran when it was made.
func (c *Claims) passOn(ctx context.Context, id, owner string, held *claim) {
	if c.now().Before(held.revocable().Add(passedOnFor)) {
		var random [1]byte          // keeps replicas from coming at the same time again
		_, _ = rand.Read(random[:]) // never fails
		c.postpone(ctx, id, c.now().Add(passOnDelay+time.Duration(random[0])*passOnDelay/256))
		return
	}
	c.log.Error("a claim has ended, and no process can revoke its token any more; it is revoked at its user's next call", "claim", id,
		"id", held.TokenID, "prefix", held.Prefix, "caller", owner)
	c.unschedule(ctx, id)
}

func (c *Claims) postpone(ctx context.Context, id string, until time.Time) {
	if err := c.store.Schedule(ctx, claimKey(id), until); err != nil {
		c.log.Debug("a claim could not be put off", "claim", id, "cause", err) // it comes due again after the lease
	}
}

func (c *Claims) unschedule(ctx context.Context, id string) {
	if err := c.store.Unschedule(ctx, claimKey(id)); err != nil {
		c.log.Debug("a claim could not be unscheduled", "claim", id, "cause", err) // it comes due again and is found done
	}
}
