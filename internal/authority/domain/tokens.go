package domain

import (
	"context"
	"fmt"
	"time"
)

// TokenStore keeps tokens and their uses.
type TokenStore interface {
	// Tokens returns all tokens of a user, revoked ones too, the newest first.
	Tokens(ctx context.Context, userID string) ([]Token, error)
	// Change commits what do changes if it returns nil. It may call do several times.
	Change(ctx context.Context, do func(tx Tx) error) error
	// Revoke returns [ErrTokenNotFound] unless the user has the token and it was not
	// revoked before.
	Revoke(ctx context.Context, userID, id string, at time.Time) error
	// RevokeLine is Revoke for a token and all that were made with it, directly or
	// not. It returns [ErrTokenNotFound] if all of them were revoked before.
	RevokeLine(ctx context.Context, userID, id string, at time.Time) error
	// Uses returns one page of the uses of a user's token, the newest first, and how
	// many there are.
	Uses(ctx context.Context, userID, id string, page, limit int) ([]Use, int, error)
}

// Tx is one transaction of a store.
type Tx interface {
	// LockUser has others who create or change tokens of the user wait until the
	// transaction has ended.
	LockUser(ctx context.Context, userID string) error
	// LockCredential returns a credential, which nobody can revoke until the
	// transaction has ended. It returns nil if there is none.
	LockCredential(ctx context.Context, kind Kind, id string) (*Record, error)
	// ActiveTokens counts a user's tokens that are neither revoked nor expired.
	ActiveTokens(ctx context.Context, userID string, now time.Time) (int, error)
	// HasPrefix reports whether the user has or had a token with the public prefix.
	HasPrefix(ctx context.Context, userID, prefix string) (bool, error)
	// InsertToken stores a new token of a user.
	InsertToken(ctx context.Context, userID string, t Token, digest string, pepperVersion int64) error
	// Token returns [ErrTokenNotFound] if the user has no such token.
	Token(ctx context.Context, userID, id string) (Token, error)
	// UpdateToken returns [ErrTokenRevoked] if the token was revoked meanwhile.
	UpdateToken(ctx context.Context, t Token) error
	// ClaimForm returns [ErrFormSent] if the form was claimed before.
	ClaimForm(ctx context.Context, sessionID, form string) error
	// SetActiveUnit returns [ErrUnitNotFound] if the organization has no such unit.
	SetActiveUnit(ctx context.Context, memberID, orgID, unitID string) error
}

// Tokens issues, changes and revokes tokens.
type Tokens struct {
	Store     TokenStore
	Hasher    Hasher
	Directory *Directory

	// Limit is how many active tokens a user may have.
	Limit int
	// MaxLifetime is how long a token may live from its creation; 0 for any time.
	MaxLifetime time.Duration

	Now func() time.Time
}

// TokensOf returns all tokens of a user, revoked ones too, the newest first.
func (s *Tokens) TokensOf(ctx context.Context, userID string) ([]Token, error) {
	return s.Store.Tokens(ctx, userID)
}

// UsesOf returns one page of the uses of a token of the user's, the newest first, and
// how many there are. Pages are counted from 1.
func (s *Tokens) UsesOf(ctx context.Context, userID, id string, page, limit int) ([]Use, int, error) {
	if !CouldBeID(id) {
		return nil, 0, ErrTokenNotFound
	}
	return s.Store.Uses(ctx, userID, id, page, limit)
}

// IssueToken makes a token for a user, named by address or id, in the one
// organization that they are in. A nil expires means never; fractions of a second are
// cut off. The error is an [*InvalidError] for a name or an expiry that the API would
// refuse, and [ErrTokenLimit].
func (s *Tokens) IssueToken(ctx context.Context, user, name string, expires *time.Time) (Issued, error) {
	member, err := s.Directory.Member(ctx, user, "")
	if err != nil {
		return Issued{}, err
	}
	request := TokenRequest{Name: name, Expires: expires}
	return s.insert(ctx, member.ID, member.OrgID, request, func(_ Tx, t *Token) error {
		t.RenewableUntil = lineageBound(t.CreatedAt, t.ExpiresAt)
		return nil
	})
}

// Create makes a token for the caller, within what they hold at that moment. The
// error is a [*Refusal] if the caller's own credential is not accepted any more.
func (s *Tokens) Create(ctx context.Context, as Identity, request TokenRequest) (Issued, error) {
	return s.insert(ctx, as.UserID, as.OrgID, request, func(tx Tx, t *Token) error {
		as, err := confirm(ctx, tx, as, WriteTokens, s.Now())
		if err != nil {
			return err
		}
		if request.Form != "" {
			if err := tx.ClaimForm(ctx, as.CredentialID, request.Form); err != nil {
				return err
			}
		}
		if t.Permissions, err = as.delegate(request.Permissions); err != nil {
			return err
		}
		if t.RenewableUntil, err = as.boundFor(t.CreatedAt, t.ExpiresAt); err != nil {
			return err
		}
		if as.Kind == PersonalAccessToken {
			t.ParentID = as.CredentialID
		}
		return nil
	})
}

// Check finds what is wrong with a request before the store is asked.
func (s *Tokens) Check(as Identity, request TokenRequest) error {
	if _, err := as.delegate(request.Permissions); err != nil {
		return err
	}
	now := s.Now()
	request, err := request.validate(now)
	if err != nil {
		return err
	}
	return s.withinLifetime(now, request.Expires)
}

// insert stores a token of which decide fills in what its maker gives it.
func (s *Tokens) insert(ctx context.Context, userID, orgID string, request TokenRequest, decide func(tx Tx, t *Token) error) (Issued, error) {
	now := s.Now()
	request, err := request.validate(now)
	if err != nil {
		return Issued{}, err
	}
	if err := s.withinLifetime(now, request.Expires); err != nil {
		return Issued{}, err
	}
	var t Token
	var value string
	err = s.Store.Change(ctx, func(tx Tx) error {
		if err := tx.LockUser(ctx, userID); err != nil {
			return err
		}
		t = Token{OrgID: orgID, Name: request.Name, CreatedAt: now, ValidFrom: request.ValidFrom, ExpiresAt: request.Expires}
		if err := decide(tx, &t); err != nil {
			return err
		}
		if err := s.makeRoom(ctx, tx, userID, now); err != nil {
			return err
		}
		t.ID = NewID("pat_")
		var err error
		if value, t.Prefix, err = newTokenValue(ctx, tx, userID); err != nil {
			return err
		}
		digest, version := s.Hasher.Digest(value)
		return tx.InsertToken(ctx, userID, t, digest, version)
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		ID: t.ID, Name: t.Name, Value: value, Prefix: t.Prefix, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		ValidFrom: t.ValidFrom, Permissions: t.Permissions,
	}, nil
}

// makeRoom returns ErrTokenLimit if the user, who must be locked, may have no further
// active token.
func (s *Tokens) makeRoom(ctx context.Context, tx Tx, userID string, now time.Time) error {
	active, err := tx.ActiveTokens(ctx, userID, now)
	if err == nil && active >= s.Limit {
		return ErrTokenLimit
	}
	return err
}

// newTokenValue draws values until the public prefix is one that the user has not
// had: users tell their tokens apart by it.
func newTokenValue(ctx context.Context, tx Tx, userID string) (value, prefix string, err error) {
	for {
		value = NewCredential(PersonalAccessToken)
		prefix = PublicPrefix(PersonalAccessToken, value)
		taken, err := tx.HasPrefix(ctx, userID, prefix)
		if err != nil || !taken {
			return value, prefix, err
		}
	}
}

// Update changes a token of the caller's and returns what it is now. The error is
// [ErrTokenNotFound] for anything that is not theirs, [ErrTokenRevoked],
// [ErrTokenLimit] if an expired token would come back to life as one too many,
// [ErrChangedMeanwhile], a [*ForbiddenError], and a [*Refusal] if the caller's own
// credential is not accepted any more.
func (s *Tokens) Update(ctx context.Context, as Identity, id string, change TokenChange) (Token, error) {
	if !CouldBeID(id) {
		return Token{}, ErrTokenNotFound
	}
	var updated Token
	err := s.Store.Change(ctx, func(tx Tx) error {
		if err := tx.LockUser(ctx, as.UserID); err != nil {
			return err
		}
		as, err := confirm(ctx, tx, as, WriteTokens, s.Now())
		if err != nil {
			return err
		}
		t, err := tx.Token(ctx, as.UserID, id)
		switch {
		case err != nil:
			return err
		case t.RevokedAt != nil:
			return ErrTokenRevoked
		case change.Expected != nil && !change.Expected(t):
			return ErrChangedMeanwhile
		}
		now := s.Now()
		if updated, err = s.changed(as, t, change, now); err != nil {
			return err
		}
		if Expired(t.ExpiresAt, now) && !Expired(updated.ExpiresAt, now) {
			if err := s.makeRoom(ctx, tx, as.UserID, now); err != nil {
				return err
			}
		}
		return tx.UpdateToken(ctx, updated)
	})
	if err != nil {
		return Token{}, err
	}
	return updated, nil
}

// changed returns t after a change that as may make.
func (s *Tokens) changed(as Identity, t Token, change TokenChange, now time.Time) (Token, error) {
	if err := as.mayChange(t, change); err != nil {
		return Token{}, err
	}
	updated, err := change.apply(t, now)
	if err != nil {
		return Token{}, err
	}
	if change.Expires.Given {
		if err := as.mayExtend(t, updated.ExpiresAt); err != nil {
			return Token{}, err
		}
		if err := s.mayLive(t, updated.ExpiresAt); err != nil {
			return Token{}, err
		}
	}
	if err := as.mayAddPermissions(t, change, updated); err != nil {
		return Token{}, err
	}
	updated.RenewableUntil = as.boundAfter(now, t, change, updated)
	return updated, nil
}

// Revoke ends a token of the user's. The error is [ErrTokenNotFound] for anything that
// is not theirs, and for a token that is revoked already: of two requests that revoke
// the same token only one succeeds, so that two rotations at once can tell which of
// them won.
func (s *Tokens) Revoke(ctx context.Context, userID, id string) error {
	if !CouldBeID(id) {
		return ErrTokenNotFound
	}
	return s.Store.Revoke(ctx, userID, id, s.Now())
}

// RevokeLine revokes a token of the user's and all live ones that were made with it.
// The error is [ErrTokenNotFound] if there was nothing to revoke.
func (s *Tokens) RevokeLine(ctx context.Context, userID, id string) error {
	if !CouldBeID(id) {
		return ErrTokenNotFound
	}
	return s.Store.RevokeLine(ctx, userID, id, s.Now())
}

// withinLifetime refuses an expiry that is later than the operator allows for a token
// that was made at created. Existing tokens stay as they are.
func (s *Tokens) withinLifetime(created time.Time, expires *time.Time) error {
	if s.MaxLifetime == 0 || !outlives(expires, created.Add(s.MaxLifetime)) {
		return nil
	}
	return &InvalidError{Field: "expires_at", Problem: fmt.Sprintf(
		"must be %s at the latest: the operator allows tokens for %s from their creation, and none that never expire",
		created.Add(s.MaxLifetime).Truncate(time.Second).Format(time.RFC3339), lifetimeInWords(s.MaxLifetime))}
}

// mayLive is withinLifetime for a new expiry of a token. A shorter life is allowed,
// however long it still is.
func (s *Tokens) mayLive(t Token, expires *time.Time) error {
	if expires != nil && (t.ExpiresAt == nil || !expires.After(*t.ExpiresAt)) {
		return nil
	}
	return s.withinLifetime(t.CreatedAt, expires)
}

func lifetimeInWords(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 && d == days*24*time.Hour {
		return fmt.Sprintf("%d days", days)
	}
	return d.String()
}

// confirm looks at the caller's credential again, as part of the change that they
// asked for, and returns what its owner may do now. The sender decides how long the
// body of a request takes: with a stolen token they could otherwise wait until it is
// revoked, and have another made then. The error is a [*Refusal] for a credential
// that is not accepted any more.
//
// A revocation waits until the change has ended, so that the list after it shows all
// that was made before.
func confirm(ctx context.Context, tx Tx, as Identity, needs Permission, now time.Time) (Identity, error) {
	record, err := tx.LockCredential(ctx, as.Kind, as.CredentialID)
	switch {
	case err != nil:
		return Identity{}, err
	case record == nil: // a session that was signed out
		return Identity{}, &Refusal{Cause: CauseUnknown, Prefix: as.Prefix}
	}
	if cause := record.Refuses(now); cause != "" {
		return Identity{}, &Refusal{Cause: cause, Prefix: as.Prefix}
	}
	if !record.Identity.Permissions.Contains(needs) {
		return Identity{}, MissingPermission(needs, record.Identity)
	}
	return record.Identity, nil
}
