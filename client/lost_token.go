package client

import (
	"context"
	"errors"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// settleTime bounds the clearing up after a create in doubt.
const settleTime = 10 * time.Second

// maxCandidates bounds the tokens that a lost one can be. With two it is open
// already which one it is; the others are named for the user to look at.
const maxCandidates = 20

// lostToken is a token that a create may have made without handing over its
// value.
type lostToken struct {
	caller *Caller
	wanted createRequest
	// before holds the ids that the user had before the create; nil if unknown.
	before *idSet
}

// isNew reports whether no other create of this client made id, and it was not
// there before.
func (l *lostToken) isNew(id string) bool {
	return !l.before.has(id) && !l.caller.client.created.has(id)
}

// settle revokes the token: the one with the given id, or, if that is "", the one
// that it finds. It takes settleTime at most, whatever becomes of ctx. It returns
// a *CreateError that wraps reason.
func (l *lostToken) settle(ctx context.Context, reason error, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if id != "" {
		return l.revoke(ctx, reason, id)
	}
	found, err := l.lookRepeatedly(ctx)
	switch {
	case err != nil:
		return l.result(OutcomeUnknown, reason, err, nil)
	case len(found) == 0 && l.before != nil:
		return l.result(OutcomeNotCreated, reason, nil, nil)
	case len(found) == 1 && l.before != nil && l.isExact(&found[0]) && validID(found[0].ID):
		return l.revoke(ctx, reason, found[0].ID)
	}
	ids := make([]string, 0, len(found))
	for i := range found {
		if validID(found[i].ID) {
			ids = append(ids, found[i].ID)
		}
	}
	return l.result(OutcomeUnknown, reason, nil, ids)
}

// lookRepeatedly looks until something is found: when the connection is lost,
// the API may still be at work.
func (l *lostToken) lookRepeatedly(ctx context.Context) ([]Token, error) {
	found, err := l.look(ctx)
	for _, pause := range l.caller.client.lookPauses {
		if err != nil || len(found) > 0 {
			break
		}
		if !sleep(ctx, pause) {
			return nil, contextError(&call{op: opCreateToken}, ctx.Err())
		}
		found, err = l.look(ctx)
	}
	return found, err
}

// look lists the tokens that the create can have made: new, of the name asked
// for, not revoked, never used since nobody has the value.
func (l *lostToken) look(ctx context.Context) ([]Token, error) {
	var found []Token
	err := l.caller.readTokens(ctx, opCreateToken, func() func(*Token) error {
		found = nil
		return func(t *Token) error {
			if len(found) < maxCandidates && plaintext.SameName(t.Name, l.wanted.Name) && t.RevokedAt == nil && t.LastUsedAt == nil && l.isNew(t.ID) {
				found = append(found, *t)
			}
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// isExact reports whether t has the expiry asked for, to the second, and the
// permissions and the start, where these were asked for. One that differs may be
// the API's doing or somebody else's token; a person decides.
func (l *lostToken) isExact(t *Token) bool {
	if l.wanted.Permissions != nil && wider(t, nil, l.wanted.Permissions) != "" {
		return false
	}
	return isSecond(t.ExpiresAt, l.wanted.ExpiresAt) && (l.wanted.ValidFrom == nil || isSecond(t.ValidFrom, l.wanted.ValidFrom))
}

// isSecond reports whether at is wanted, to the second.
func isSecond(at, wanted *time.Time) bool {
	if at == nil || wanted == nil {
		return at == nil && wanted == nil
	}
	return at.Truncate(time.Second).Equal(*wanted)
}

// revoke revokes id. That somebody else was quicker, or that it never came to be,
// is as good: the list has shown it then.
func (l *lostToken) revoke(ctx context.Context, reason error, id string) error {
	err := l.caller.RevokeToken(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return l.result(OutcomeUnknown, reason, err, []string{id})
	}
	return l.result(OutcomeRevoked, reason, nil, []string{id})
}

func (l *lostToken) result(outcome Outcome, reason, cleanup error, ids []string) error {
	return &CreateError{Outcome: outcome, Name: l.wanted.Name, TokenIDs: ids, reason: reason, cleanup: cleanup}
}
