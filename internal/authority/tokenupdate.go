package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// setting is a field of a change: what it is to become, if it is to change.
type setting[T any] struct {
	given bool
	value T
}

func setTo[T any](value T) setting[T] { return setting[T]{given: true, value: value} }

// tokenChange is what is to change of a token; what is not given stays.
type tokenChange struct {
	name        setting[string]
	validFrom   setting[*time.Time]    // to nil: from its creation on
	expires     setting[*time.Time]    // to nil: never
	permissions setting[permissionSet] // to nil: all that the role holds

	// seen is the [token.fingerprint] that the token must have for the change to
	// be made; empty where it may have any.
	seen string
}

func (c tokenChange) empty() bool {
	return !c.name.given && !c.validFrom.given && !c.expires.given && !c.permissions.given
}

// addsPermissions reports whether the change gives t permissions that it lacks.
func (c tokenChange) addsPermissions(t token) bool {
	if !c.permissions.given || t.permissions == nil {
		return false
	}
	return c.permissions.value == nil || !c.permissions.value.within(t.permissions)
}

// apply returns what becomes of a token. What is not changed is not looked at
// again, so that an expired token can be renamed.
func (c tokenChange) apply(t token, now time.Time) (token, error) {
	if c.name.given {
		if err := validateTokenName(c.name.value); err != nil {
			return token{}, err
		}
		t.name = c.name.value
	}
	var err error
	if c.expires.given {
		if t.expiresAt, err = validateExpiry(c.expires.value, now); err != nil {
			return token{}, err
		}
	}
	if c.validFrom.given {
		if t.validFrom, err = validateBegin(c.validFrom.value); err != nil {
			return token{}, err
		}
	}
	if c.expires.given || c.validFrom.given {
		if err := validateValidity(t.validFrom, t.expiresAt); err != nil {
			return token{}, err
		}
	}
	if c.permissions.given {
		t.permissions = c.permissions.value
	}
	return t, nil
}

// updateToken changes a token of the caller's and returns what it is now. It
// returns errTokenNotFound for everything that is not his, errTokenRevoked,
// [ErrTokenLimit] if an expired token would come back to life as one too many,
// errChangedMeanwhile if the token is not the one that the change has seen, a
// *problem if the caller may not make the change, and a *refusal if the caller's
// own credential has ended.
func (a *Authority) updateToken(ctx context.Context, as identity, id string, change tokenChange) (token, error) {
	if !couldBeID(id) {
		return token{}, errTokenNotFound
	}
	var updated token
	err := a.db.change(ctx, func(tx *sql.Tx) error {
		if err := lockUser(ctx, tx, as.userID); err != nil {
			return err
		}
		as, err := a.confirm(ctx, tx, as, writeTokens)
		if err != nil {
			return err
		}
		t, err := scanToken(tx.QueryRowContext(ctx, selectTokens+` WHERE id = $1 AND user_id = $2`, id, as.userID))
		if errors.Is(err, sql.ErrNoRows) {
			return errTokenNotFound
		}
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		if t.revokedAt != nil {
			return errTokenRevoked
		}
		if change.seen != "" && change.seen != t.fingerprint() {
			return errChangedMeanwhile
		}
		if err := as.mayChange(t, change); err != nil {
			return err
		}
		now := a.now()
		if updated, err = change.apply(t, now); err != nil {
			return err
		}
		if change.expires.given {
			if err := as.mayExtend(t, updated.expiresAt); err != nil {
				return err
			}
			if err := a.mayLive(t, updated.expiresAt); err != nil {
				return err
			}
		}
		if err := as.mayAddPermissions(t, change, updated); err != nil {
			return err
		}
		updated.renewableUntil = as.boundAfter(now, t, change, updated)
		if expired(t.expiresAt, now) && !expired(updated.expiresAt, now) {
			if err := a.makeRoom(ctx, tx, as.userID, now); err != nil {
				return err
			}
		}
		return a.storeChange(ctx, tx, updated)
	})
	if err != nil {
		return token{}, err
	}
	return updated, nil
}

// mayChange tells why as may not make a change of a token of his. A narrowed
// token must not gain by another one what it does not hold itself, nor keep a
// wider one alive.
func (as identity) mayChange(t token, change tokenChange) error {
	if t.orgID != as.orgID {
		return ofAnotherOrganization()
	}
	if as.narrowed && (t.permissions == nil || !t.permissions.within(as.granted)) {
		return cannotWiden()
	}
	if !change.permissions.given {
		return nil
	}
	if as.narrowed && change.permissions.value == nil {
		return cannotWiden()
	}
	if p, outside := change.permissions.value.firstOutside(as.permissions); outside {
		return cannotDelegate(p)
	}
	return nil
}

func (a *Authority) storeChange(ctx context.Context, tx *sql.Tx, t token) error {
	// A revocation does not wait for the lock on the user, and must win.
	result, err := tx.ExecContext(ctx, `
		UPDATE tokens SET name = $1, valid_from = $2, expires_at = $3, permissions = $4, renewable_until = $5
		WHERE id = $6 AND revoked_at IS NULL`,
		t.name, optionalMicros(t.validFrom), optionalMicros(t.expiresAt), optionalPermissions(t.permissions), optionalMicros(t.renewableUntil), t.id)
	if err != nil {
		return fmt.Errorf("change the token: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("change the token: %w", err)
	} else if n == 0 {
		return errTokenRevoked
	}
	return a.bumpEpoch(ctx, tx)
}
