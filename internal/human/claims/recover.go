package claims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// maxNoted bounds the remembered claims of a caller. The oldest are forgotten first.
const maxNoted = 200

// Unclaimed implements tokens.Claimed.
func (c *Claims) Unclaimed(ctx context.Context, caller tools.Caller) (tokens []string, _ error) {
	_, ids, err := c.noted(ctx, caller.ID)
	if err != nil {
		return nil, fmt.Errorf("find the caller's claims: %w", err)
	}
	for _, id := range slices.Backward(ids) {
		held, owner, _, err := c.look(ctx, id)
		switch {
		case errors.Is(err, ErrNoClaim):
			continue
		case err != nil:
			return nil, fmt.Errorf("look at a claim: %w", err)
		case c.now().After(held.Deadline.Add(rememberedUnclaimed)):
			return tokens, nil // and so are those from before
		case owner == caller.ID && (held.State == claimWaiting || held.State == claimEnded):
			tokens = append(tokens, held.TokenID)
		}
	}
	return tokens, nil
}

// rememberedUnclaimed is how long an expired claim's token is listed, since it may not be
// revoked yet.
const rememberedUnclaimed = time.Hour

func claimsOf(owner string) string { return "claims-of:" + owner }

// noteFor remembers that a claim is a caller's, for [Claims.Recover].
func (c *Claims) noteFor(ctx context.Context, owner, id string) error {
	return c.changeNoted(ctx, owner, func(ids []string) []string {
		ids = append(ids, id)
		return ids[max(0, len(ids)-maxNoted):]
	})
}

func (c *Claims) changeNoted(ctx context.Context, owner string, change func([]string) []string) error {
	return c.update(ctx, claimsOf(owner), MaxLifetime+keptForRevoking, func() (old, next []byte, _ error) {
		old, ids, err := c.noted(ctx, owner)
		if err != nil {
			return nil, nil, err
		}
		if next, err = json.Marshal(change(ids)); err != nil {
			return nil, nil, fmt.Errorf("remember a claim: %w", err)
		}
		return old, next, nil
	})
}

// update replaces the value of a key by what change returns for the present one. It tries
// again when another replica was faster.
func (c *Claims) update(ctx context.Context, key string, keep time.Duration, change func() (old, next []byte, _ error)) error {
	const attempts = 20
	for range attempts {
		old, next, err := change()
		if err != nil {
			return err
		}
		if done, err := c.store.Swap(ctx, key, old, next, keep); err != nil || done {
			return err
		}
	}
	return errors.New("other replicas change the same value again and again")
}

func (c *Claims) noted(ctx context.Context, owner string) (old []byte, ids []string, _ error) {
	old, ok, err := c.store.Get(ctx, claimsOf(owner))
	if err != nil || !ok {
		return nil, nil, err
	}
	if json.Unmarshal(old, &ids) != nil {
		return old, nil, nil //nolint:nilerr // it holds no more than names, and is made anew
	}
	return old, ids, nil
}

// Recover revokes, as the caller, the tokens of ended claims that no process could revoke.
func (c *Claims) Recover(ctx context.Context, caller tools.Caller) ([]tokens.Recovered, error) {
	if !c.store.Shared() || caller.ID == "" {
		return nil, nil
	}
	_, ids, err := c.noted(ctx, caller.ID)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var found []tokens.Recovered
	var dealt []string
	var errs []error
	for _, id := range ids {
		recovered, keep, err := c.recover(ctx, id, caller)
		errs = append(errs, err)
		if recovered != nil {
			found = append(found, *recovered)
		}
		if !keep {
			dealt = append(dealt, id)
		}
	}
	if len(dealt) > 0 {
		errs = append(errs, c.changeNoted(ctx, caller.ID, func(ids []string) []string {
			return slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(dealt, id) })
		}))
	}
	return found, errors.Join(errs...)
}

// recover handles one claim, and reports whether to keep it.
func (c *Claims) recover(ctx context.Context, id string, caller tools.Caller) (_ *tokens.Recovered, keep bool, _ error) {
	held, owner, _, err := c.look(ctx, id)
	switch {
	case errors.Is(err, ErrNoClaim):
		return nil, false, nil
	case err != nil:
		return nil, true, err
	case owner != caller.ID, held.isSeenRevoked():
		return nil, false, nil
	case held.State == claimRevoked:
		token, err := tokens.Find(ctx, caller.API, held.TokenID)
		if err != nil && !errors.Is(err, client.ErrForbidden) {
			return nil, true, fmt.Errorf("look for the token of an ended claim: %w", err)
		}
		if err == nil && (token == nil || token.RevokedAt != nil) {
			c.settle(ctx, id, owner, held.Gone, true)
			return nil, false, nil
		}
	case held.State == claimFetched, held.State == claimWaiting && c.now().Before(held.revocable().Add(passOnDelay)):
		return nil, true, nil
	}
	reason := held.reasonGone(GoneExpired)
	err = caller.API.RevokeToken(ctx, held.TokenID)
	c.recordRevocation(ctx, id, held, caller, reasonToRevoke(reason), err)
	outcome := tokens.RecoveredRevoked
	switch {
	case errors.Is(err, client.ErrNotFound):
		outcome = tokens.RecoveredGone
	case err != nil:
		return nil, true, fmt.Errorf("revoke the token of an ended claim: %w", err)
	}
	c.settle(ctx, id, owner, reason, true)
	return &tokens.Recovered{TokenID: held.TokenID, Name: held.Name, Outcome: outcome}, false, nil
}

// WithClaims returns a journal that also recovers claims. journal may be nil.
func (c *Claims) WithClaims(journal tokens.Journal) tokens.Journal { return &claimJournal{journal, c} }

type claimJournal struct {
	journal tokens.Journal
	claims  *Claims
}

func (j *claimJournal) Begin(ctx context.Context, caller tools.Caller, intent tokens.Intent) (tokens.JournalEntry, error) {
	if j.journal == nil {
		return tokens.JournalEntryFrom(ctx), nil // one that does nothing
	}
	return j.journal.Begin(ctx, caller, intent)
}

func (j *claimJournal) Recover(ctx context.Context, caller tools.Caller) ([]tokens.Recovered, error) {
	found, err := j.claims.Recover(ctx, caller)
	if j.journal == nil {
		return found, err
	}
	more, journalErr := j.journal.Recover(ctx, caller)
	return append(found, more...), errors.Join(err, journalErr)
}
