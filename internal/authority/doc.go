// Package authority is an embedded kenbun API. It issues, verifies and revokes personal
// access tokens over the HTTP interface of kenbun's page Personal Access Tokens. Programs
// reach it over HTTP; it imports only leaf packages of this module.
//
// An [Authority] is opened over a store: in memory, in an SQLite file, or in a PostgreSQL
// database that several nodes may share. Package embedded runs one in this process.
//
// A token's value is returned by the call that made it and by nothing else. The store
// holds an HMAC-SHA-256 of it, keyed with a pepper that is kept outside of the database.
// Values have 190 random bits, so that a deliberately slow hash would add no strength.
//
// A token is tied to one user and one organization. The user's status, membership and
// role are read at each request. Over PostgreSQL, a node caches verified credentials
// while it receives the changes of other nodes, which count everywhere within a second.
// A node that cannot receive them asks the database each time.
//
// With [Config.Web], users manage their own tokens in a browser, below /web, after
// signing in by a link of [Authority.IssueSignInLink].
package authority

import (
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
)

// Names of packages domain and store, so that programs import one package.

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

// Names of package domain.
const (
	DefaultOrganization    = domain.DefaultOrganization
	DefaultSessionLifetime = domain.DefaultSessionLifetime
	SignInLinkLifetime     = domain.SignInLinkLifetime
)
