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
	// Revoke returns [ErrTokenNotFound] unless the user has the token, not yet revoked.
	Revoke(ctx context.Context, userID, id string, at time.Time) error
	// RevokeLine revokes a token and all that were made with it. It returns
	// [ErrTokenNotFound] if there was nothing to revoke.
	RevokeLine(ctx context.Context, userID, id string, at time.Time) error
	// Uses returns a page of the uses of a user's token, newest first, and their number.
	Uses(ctx context.Context, userID, id string, page, limit int) ([]Use, int, error)
}

// Tx is one transaction of a store.
type Tx interface {
	// LockUser serializes changes of the user's tokens until the end of the transaction.
	LockUser(ctx context.Context, userID string) error
	// LockCredential keeps a credential from being revoked until the end of the
	// transaction, and returns it, or nil if there is none.
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
	// MaxLifetime bounds a token's lifetime from its creation; 0 means no limit.
	MaxLifetime time.Duration

	Now func() time.Time
}

// TokensOf returns all tokens of a user, revoked ones too, the newest first.
func (s *Tokens) TokensOf(ctx context.Context, userID string) ([]Token, error) {
	return s.Store.Tokens(ctx, userID)
}

// UsesOf returns a page, counted from 1, of the uses of a user's token, the newest first, and
// their number.
func (s *Tokens) UsesOf(ctx context.Context, userID, id string, page, limit int) ([]Use, int, error) {
	if !CouldBeID(id) {
		return nil, 0, ErrTokenNotFound
	}
	return s.Store.Uses(ctx, userID, id, page, limit)
}

// IssueToken makes a token for a user with one organization, named by address or id. A nil
// expires means never; fractions of a second are cut off. The error is an [*InvalidError]
// or [ErrTokenLimit].
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

// Create makes a token for the caller, within the caller's rights. The error is a [*Refusal]
// if their own credential is not accepted any more.
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

// Check validates a request without the store.
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

// insert stores a token, after decide completed it.
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

// makeRoom returns ErrTokenLimit if the user, who must be locked, has no token left.
func (s *Tokens) makeRoom(ctx context.Context, tx Tx, userID string, now time.Time) error {
	active, err := tx.ActiveTokens(ctx, userID, now)
	if err == nil && active >= s.Limit {
		return ErrTokenLimit
	}
	return err
}

// newTokenValue returns a value with a public prefix that is new to the user.
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

// Update changes a token of the caller's and returns it. The error is [ErrTokenNotFound]
// for anything that is not theirs, [ErrTokenRevoked], [ErrTokenLimit] if an expired token
// would come back to life as one too many, [ErrChangedMeanwhile], a [*ForbiddenError], or a
// [*Refusal] if their own credential is not accepted any more.
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

// Revoke revokes a token of the user's. The error is [ErrTokenNotFound] for anything that is
// not theirs, and for a revoked token, so that only one of two rotations succeeds.
func (s *Tokens) Revoke(ctx context.Context, userID, id string) error {
	if !CouldBeID(id) {
		return ErrTokenNotFound
	}
	return s.Store.Revoke(ctx, userID, id, s.Now())
}

// RevokeLine revokes a token of the user's and all live ones that were made with it. The
// error is [ErrTokenNotFound] if there was nothing to revoke.
func (s *Tokens) RevokeLine(ctx context.Context, userID, id string) error {
	if !CouldBeID(id) {
		return ErrTokenNotFound
	}
	return s.Store.RevokeLine(ctx, userID, id, s.Now())
}

// withinLifetime refuses an expiry beyond the maximal lifetime of a token made at created.
func (s *Tokens) withinLifetime(created time.Time, expires *time.Time) error {
	if s.MaxLifetime == 0 || !outlives(expires, created.Add(s.MaxLifetime)) {
		return nil
	}
	return &InvalidError{Field: "expires_at", Problem: fmt.Sprintf(
		"must be %s at the latest: the operator allows tokens for %s from their creation, and none that never expire",
		created.Add(s.MaxLifetime).Truncate(time.Second).Format(time.RFC3339), lifetimeInWords(s.MaxLifetime))}
}

// mayLive is withinLifetime for a new expiry of a token. It allows a shorter life.
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

// confirm looks at the caller's credential again within the transaction, and returns what its
// owner may do now. Otherwise, a slow request with a stolen token could make another token
// after the revocation. A revocation waits for the transaction, so that the list after it is
// complete. The error is a [*Refusal] for a credential that is not accepted any more.
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
