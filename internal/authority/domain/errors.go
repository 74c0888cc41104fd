// Package domain holds the users, organizations, tokens, permissions and sessions of the
// embedded API. It knows neither SQL nor HTTP; package store implements its interfaces.
package domain

import (
	"errors"
	"time"
)

var (
	// ErrUnknownUser indicates that no user has the address or id.
	ErrUnknownUser = errors.New("there is no such user: kenbun-mcp authority user list shows the addresses")

	// ErrUserExists indicates that the address is taken.
	ErrUserExists = errors.New("there is a user with that address already")

	// ErrNotMember indicates that the user is not in the organization, or in none.
	ErrNotMember = errors.New("the user is not a member of that organization")

	// ErrSeveralOrganizations indicates that the user is in several organizations, for an
	// operation that acts in one.
	ErrSeveralOrganizations = errors.New("the user is a member of several organizations: name one")

	// ErrSuspended indicates that a session of the user would be of no use.
	ErrSuspended = errors.New("the user is suspended: kenbun-mcp authority user restore ends that")

	// ErrUnknownOrganization indicates that no organization has the name.
	ErrUnknownOrganization = errors.New("there is no such organization: kenbun-mcp authority user list shows them")

	// ErrUnitExists indicates that the organization has a unit of that name.
	ErrUnitExists = errors.New("the organization has a unit of that name already")

	// ErrUnitNotFound indicates that the organization has no unit with the id.
	ErrUnitNotFound = errors.New("the organization has no unit with that id")

	// ErrTokenLimit indicates that the user has as many active tokens as allowed.
	ErrTokenLimit = errors.New("the limit of active tokens is reached: revoke tokens that are no longer used, then try again")

	// ErrTokenNotFound indicates that the user has no such token, or no live one to revoke.
	ErrTokenNotFound = errors.New("the user has no token with that id")

	// ErrTokenRevoked indicates that a revoked token cannot be changed.
	ErrTokenRevoked = errors.New("the token is revoked")

	// ErrChangedMeanwhile indicates that a token changed since a change of it was decided,
	// which could undo what somebody else did.
	ErrChangedMeanwhile = errors.New("the token was changed meanwhile")

	// ErrFormSent indicates that the form has made a token before.
	ErrFormSent = errors.New("the form was sent before")

	// ErrLinkRefused indicates that a sign-in link does not work.
	ErrLinkRefused = errors.New("the sign-in link was used, has expired, or was not copied in full")

	// ErrOutcomeUnknown indicates that the store was lost during a commit.
	ErrOutcomeUnknown = errors.New("the store was lost during a write, so it is not known whether the change was made")
)

// InvalidError indicates that a value was refused, and what is allowed.
type InvalidError struct {
	Field   string
	Problem string
}

// Error implements error.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// ForbiddenError indicates that the caller may not do what was asked.
type ForbiddenError struct {
	Reason string

	// Needs is the permission that is missing, if it is a matter of one.
	Needs Permission

	// Narrow reports whether the caller's token permits too little.
	Narrow bool
}

// Error implements error.
func (e *ForbiddenError) Error() string { return e.Reason }

// ErrOtherOrganization indicates that a token of the caller's is bound to another
// organization than the caller's credential.
var ErrOtherOrganization = &ForbiddenError{Reason: "the token is bound to another organization: change it with a session or token of that one"}

// MissingPermission returns the error for a caller who lacks a permission. It says whether
// another token of the same user would do.
func MissingPermission(p Permission, as Identity) *ForbiddenError {
	reason := "your role does not hold the permission " + string(p)
	if as.Narrowed && rolePermissions[as.Role].Contains(p) {
		reason = "this token does not hold the permission " + string(p) + ": it is narrowed to fewer than your role has"
	}
	return &ForbiddenError{Reason: reason, Needs: p, Narrow: true}
}

// cannotDelegate is for a caller who would give a token more than they hold.
func cannotDelegate(p Permission) error {
	return &ForbiddenError{Reason: "you do not hold the permission " + string(p) + " yourself, so you cannot give it to a token", Needs: p, Narrow: true}
}

// cannotWiden is for a narrowed token that would change one that permits more.
func cannotWiden() error {
	return &ForbiddenError{Reason: "a narrowed token can change only tokens within its own permissions: use a session or a token that is not narrowed", Narrow: true}
}

// cannotAddForLonger is for a token that would add permissions to a longer-lived one.
func cannotAddForLonger(bound time.Time) error {
	return &ForbiddenError{Reason: "the token in use expires, so it can add permissions only to tokens that expire by " + bound.UTC().Format(time.RFC3339) +
		": use a session or a token that never expires"}
}
