// Package authority is an embedded kenbun API: it issues, verifies and revokes
// personal access tokens and serves them over the HTTP interface that the kenbun API
// documentation describes on its page Personal Access Tokens.
//
// It stands on the other side of the wire from the rest of this module and imports
// nothing of it but leaf packages. Programs learn about it over HTTP.
//
// An [Authority] is opened over a store: in memory, in a SQLite file, or in a
// PostgreSQL database that several nodes may share. Package embedded runs one in the
// same process.
//
// # What is kept of a token
//
// A token's value is returned by the call that made it and by nothing else. The store
// holds an HMAC-SHA-256 of it, keyed with a pepper that is kept outside of the
// database, and looks tokens up by that digest. The values carry 190 random bits, so
// that a deliberately slow hash would add time and no strength.
//
// # Who a request acts as
//
// A token is tied to one user and to the organization that it was made in. The user's
// status, membership and role are read at each request and are never stored with the
// token: a changed role counts at once, and the tokens of a user who was suspended or
// removed all stop. Over PostgreSQL, a node caches verified credentials while it
// receives the changes that others make, which count on all nodes within a second. A
// node that cannot receive them asks the database each time, and one without its
// database answers 503.
//
// # The web page
//
// With [Config.Web], users manage their own tokens in a browser, below /web. They sign
// in by a link of [Authority.IssueSignInLink], and their session is checked at each
// request as a token is.
package authority

import (
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
)

// What follows are names of packages domain and store for programs with an
// [Authority], so that they import one package.

// Role is a [domain.Role].
type Role = domain.Role

// NewUser is a [domain.NewUser].
type NewUser = domain.NewUser

// Issued is a [domain.Issued].
type Issued = domain.Issued

// InvalidError is a [domain.InvalidError].
type InvalidError = domain.InvalidError

// SeedConfig is a [store.SeedConfig].
type SeedConfig = store.SeedConfig

// The roles, from the most to the least powerful.
const (
	RoleOwner  = domain.RoleOwner
	RoleAdmin  = domain.RoleAdmin
	RoleMember = domain.RoleMember
	RoleViewer = domain.RoleViewer
)

// More names of packages domain and store.
const (
	DefaultOrganization    = domain.DefaultOrganization
	DefaultSessionLifetime = domain.DefaultSessionLifetime
	SignInLinkLifetime     = domain.SignInLinkLifetime
)
