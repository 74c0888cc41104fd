// Package authority is a kenbun API of one's own: it issues, verifies and
// revokes personal access tokens and serves them over the HTTP interface that
// the kenbun API documentation describes on its page Personal Access Tokens.
//
// It stands on the other side of the wire from the rest of this module and
// imports none of it. What a program learns about it, it learns over HTTP.
//
// An [Authority] is opened over a store, in memory, in a SQLite file or in a
// PostgreSQL database that several nodes may share, and offers an
// [http.Handler]. [StartEmbedded] runs one in the same process, on a
// loopback port, with a first user and a first token.
//
// # What is kept of a token
//
// A token's value is returned by the call that made it and by nothing else.
// The store holds an HMAC-SHA-256 of it, keyed with a pepper that is kept
// outside of the database, and looks tokens up by that digest. The values
// carry 190 random bits, so that a deliberately slow hash would add time and
// no strength.
//
// # Who a request acts as
//
// A token is tied to one user and to the organization that it was made in.
// The user's status, membership and role are read at each request and are
// never stored with the token: a changed role counts at once, and the tokens
// of somebody who was suspended or removed all stop. Over PostgreSQL a node
// remembers whom it has verified for as long as it hears of changes that others
// make, which count on all nodes within a second; a node that cannot hear asks
// the database each time, and one without its database answers 503.
//
// # The web page
//
// With [Config.Web] people look after their own tokens in a browser, below
// /web. They sign in by a link of [Authority.IssueSignInLink], and their session
// is checked at each request as a token is.
package authority
