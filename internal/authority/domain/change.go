package domain

import (
	"fmt"
	"time"
)

// Setting is a field of a change: what it becomes, if it changes.
type Setting[T any] struct {
	Given bool
	Value T
}

// SetTo returns the setting that changes a field to value.
func SetTo[T any](value T) Setting[T] { return Setting[T]{Given: true, Value: value} }

// TokenChange is what changes of a token. A field that is not given stays.
type TokenChange struct {
	Name        Setting[string]
	ValidFrom   Setting[*time.Time]    // to nil: from its creation on
	Expires     Setting[*time.Time]    // to nil: never
	Permissions Setting[PermissionSet] // to nil: all that the role holds

	// Expected reports whether the token is still as it was when the change was
	// decided. Otherwise nothing changes. It may be nil.
	Expected func(Token) bool
}

// Empty reports whether nothing changes.
func (c TokenChange) Empty() bool {
	return !c.Name.Given && !c.ValidFrom.Given && !c.Expires.Given && !c.Permissions.Given
}

// addsPermissions reports whether the change gives t permissions that it lacks.
func (c TokenChange) addsPermissions(t Token) bool {
	if !c.Permissions.Given || t.Permissions == nil {
		return false
	}
	return c.Permissions.Value == nil || !c.Permissions.Value.Within(t.Permissions)
}

// apply returns the changed token. Fields that stay are not checked, so that an expired
// token can be renamed.
func (c TokenChange) apply(t Token, now time.Time) (Token, error) {
	if c.Name.Given {
		if err := validateTokenName(c.Name.Value); err != nil {
			return Token{}, err
		}
		t.Name = c.Name.Value
	}
	var err error
	if c.Expires.Given {
		if t.ExpiresAt, err = validateExpiry(c.Expires.Value, now); err != nil {
			return Token{}, err
		}
	}
	if c.ValidFrom.Given {
		if t.ValidFrom, err = validateBegin(c.ValidFrom.Value); err != nil {
			return Token{}, err
		}
	}
	if c.Expires.Given || c.ValidFrom.Given {
		if err := validateValidity(t.ValidFrom, t.ExpiresAt); err != nil {
			return Token{}, err
		}
	}
	if c.Permissions.Given {
		t.Permissions = c.Permissions.Value
	}
	return t, nil
}

// mayChange refuses changes beyond the rights of as. A narrowed token must not gain
// permissions through another one, nor keep a wider one alive.
func (as Identity) mayChange(t Token, change TokenChange) error {
	if t.OrgID != as.OrgID {
		return ErrOtherOrganization
	}
	if as.Narrowed && (t.Permissions == nil || !t.Permissions.Within(as.Granted)) {
		return cannotWiden()
	}
	if !change.Permissions.Given {
		return nil
	}
	if as.Narrowed && change.Permissions.Value == nil {
		return cannotWiden()
	}
	if p, outside := change.Permissions.Value.FirstOutside(as.Permissions); outside {
		return cannotDelegate(p)
	}
	return nil
}

// delegate returns the permissions of a token that as makes, narrowed to asked. They are
// at most those of as, and by default what as is narrowed to.
func (as Identity) delegate(asked PermissionSet) (PermissionSet, error) {
	if asked == nil {
		return as.Granted, nil
	}
	if p, outside := asked.FirstOutside(as.Permissions); outside {
		return nil, cannotDelegate(p)
	}
	return asked, nil
}

// A token that expires must not make itself last forever, by a change or by a chain of
// tokens of which each makes the next. The first token of a chain sets the bound: nothing
// made or extended with a token of the chain expires later than lineageFactor times the
// lifetime of the first. After that, the user makes a new token in a session.
//
// A change can lower a token's bound and never raises it. Otherwise, a token of the chain
// could shorten one without a bound, and go on with that.

// lineageFactor is the lifetime of a chain, in lifetimes of its first token.
const lineageFactor = 10

// maxLineage is the lifetime from which on a chain has no bound.
const maxLineage = 29 * 365 * 24 * time.Hour

// lineageBound returns the bound that a token made at now sets; nil for none.
func lineageBound(now time.Time, expires *time.Time) *time.Time {
	if expires == nil || expires.Sub(now) >= maxLineage {
		return nil
	}
	bound := now.Add(lineageFactor * expires.Sub(now))
	return &bound
}

// boundFor returns the bound of a token that as makes, or an [*InvalidError] if the token
// would outlive the bound of as.
func (as Identity) boundFor(now time.Time, expires *time.Time) (*time.Time, error) {
	if as.RenewableUntil == nil {
		return lineageBound(now, expires), nil
	}
	if outlives(expires, *as.RenewableUntil) {
		return nil, as.beyondBound()
	}
	return as.RenewableUntil, nil
}

// boundAfter returns the bound of t after a change by as at now: the earliest of those of
// t, of its new expiry and of as. A change that gives t neither time nor permissions
// leaves its bound as it is.
func (as Identity) boundAfter(now time.Time, t Token, change TokenChange, updated Token) *time.Time {
	bound := t.RenewableUntil
	if change.Expires.Given {
		bound = earliest(bound, lineageBound(now, updated.ExpiresAt))
	}
	if change.Expires.Given || change.addsPermissions(t) {
		bound = earliest(bound, as.RenewableUntil)
	}
	return bound
}

// earliest returns the earlier of two bounds; nil means none.
func earliest(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// mayAddPermissions refuses to add permissions to a token that outlives the bound of as.
func (as Identity) mayAddPermissions(t Token, change TokenChange, updated Token) error {
	if as.RenewableUntil == nil || !change.addsPermissions(t) || !outlives(updated.ExpiresAt, *as.RenewableUntil) {
		return nil
	}
	return cannotAddForLonger(*as.RenewableUntil)
}

// mayExtend refuses a new expiry of t by which as would outlive its bound, or itself.
func (as Identity) mayExtend(t Token, expires *time.Time) error {
	switch {
	case as.RenewableUntil == nil, t.ExpiresAt != nil && !outlives(expires, *t.ExpiresAt):
		return nil
	case t.ID == as.CredentialID && t.ExpiresAt != nil:
		return &InvalidError{Field: "expires_at", Problem: "cannot be moved later: a token that expires does not extend itself. Create a new one with it, or extend it in a session"}
	case outlives(expires, *as.RenewableUntil):
		return as.beyondBound()
	}
	return nil
}

func (as Identity) beyondBound() error {
	return &InvalidError{Field: "expires_at", Problem: fmt.Sprintf(
		"must be %s at the latest: the token in use expires, and so must every token made with it. For a longer life, create the token in a session",
		as.RenewableUntil.UTC().Format(time.RFC3339))}
}

// outlives reports whether a token with this expiry lives longer than bound.
func outlives(expires *time.Time, bound time.Time) bool {
	return expires == nil || expires.After(bound)
}
