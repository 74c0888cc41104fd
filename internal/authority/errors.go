package authority

import (
	"errors"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

var (
	// ErrUnknownUser means that no user has the address or id.
	ErrUnknownUser = errors.New("there is no such user: kenbun-mcp authority user list shows the addresses")

	// ErrUserExists means that the address is taken.
	ErrUserExists = errors.New("there is a user with that address already")

	// ErrNotMember means that the user is in no organization, or not in the
	// one that was named.
	ErrNotMember = errors.New("the user is not a member of that organization")

	// ErrSeveralOrganizations means that the user is in more than one
	// organization and that the operation acts in exactly one.
	ErrSeveralOrganizations = errors.New("the user is a member of several organizations: name one")

	// ErrSuspended means that a session of the user would be good for nothing.
	ErrSuspended = errors.New("the user is suspended: kenbun-mcp authority user restore ends that")

	// ErrUnknownOrganization means that no organization has the name.
	ErrUnknownOrganization = errors.New("there is no such organization: kenbun-mcp authority user list shows them")

	// ErrUnitExists means that the organization has a unit of that name.
	ErrUnitExists = errors.New("the organization has a unit of that name already")

	// ErrTokenLimit means that the user has as many active tokens as allowed.
	ErrTokenLimit = errors.New("the limit of active tokens is reached: revoke tokens that are no longer used, then try again")

	errTokenNotFound = errors.New("the user has no token with that id")
	errTokenRevoked  = errors.New("the token is revoked")
	errUnitNotFound  = errors.New("the organization has no unit with that id")
)

// InvalidError says which value was refused and what is allowed.
type InvalidError = domain.InvalidError
