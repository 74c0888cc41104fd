package domain

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// Identity is who a request acts as, as of that request.
type Identity struct {
	Kind         Kind
	CredentialID string
	Prefix       string

	UserID    string
	Email     string
	FirstName string
	LastName  string
	Verified  bool

	OrgID    string
	MemberID string
	Role     Role

	Permissions PermissionSet // in effect: the role's, or those of a narrowed token that the role holds
	Narrowed    bool          // the token holds less than the role may
	Granted     PermissionSet // what the token is narrowed to; nil if it is not

	RenewableUntil *time.Time // the latest expiry that the credential can give to a token; nil for any
}

// Refusal indicates that a credential is not accepted. The cause is only for the log.
type Refusal struct {
	Cause  string
	Prefix string // empty if the credential was malformed
}

// Error implements error.
func (r *Refusal) Error() string { return "the credential is " + r.Cause }

// Causes of a [Refusal].
const (
	CauseMalformed = "malformed"
	CauseUnknown   = "unknown"
	CauseRevoked   = "revoked"
	CauseExpired   = "expired"
	CauseNotYet    = "not valid yet"
	CauseSuspended = "of a suspended user"
	CauseNotMember = "of somebody who is not a member of its organization"
)

// Record is all that the store knows of a credential and its owner.
type Record struct {
	Identity      Identity
	Digest        string
	PepperVersion int64

	ValidFrom *time.Time
	Expires   *time.Time
	Revoked   bool
	Status    UserStatus
	Member    bool

	// LastUsed (microseconds, 0 for never) and Rehashing (set while the token moves to the
	// newest pepper) are all that changes in a cached record.
	LastUsed  atomic.Int64
	Rehashing atomic.Bool
}

// Refuses returns the cause for which the credential is not accepted at a time, or "".
func (r *Record) Refuses(now time.Time) (cause string) {
	switch {
	case r.Revoked:
		return CauseRevoked
	case Expired(r.Expires, now):
		return CauseExpired
	case NotYetValid(r.ValidFrom, now):
		return CauseNotYet
	case r.Status != StatusActive:
		return CauseSuspended
	case !r.Member:
		return CauseNotMember
	}
	return ""
}

// Expired reports whether end has come.
func Expired(end *time.Time, now time.Time) bool { return end != nil && !now.Before(*end) }

// NotYetValid reports whether begin is still to come.
func NotYetValid(begin *time.Time, now time.Time) bool { return begin != nil && now.Before(*begin) }

// Hasher turns credentials into the digests under which they are stored.
type Hasher interface {
	// Digest returns the digest under the newest pepper, and that pepper's version.
	Digest(value string) (digest string, version int64)
	// Digests yields the digest under each pepper, the newest first.
	Digests(value string) iter.Seq[string]
	// Renew rereads the peppers if the store knows a newer one, and reports whether there
	// are new ones.
	Renew(ctx context.Context) (bool, error)
}

// Records looks up credentials.
type Records interface {
	// Record returns nil if there is no credential with the digest.
	Record(ctx context.Context, kind Kind, digest string) (*Record, error)
	// Cached returns nil, and the generation for Cache, if there is nothing.
	Cached(digest string) (record *Record, generation uint64)
	// Cache adds a record that was read since Cached returned generation.
	Cache(digest string, record *Record, generation uint64)
}

// Rehash moves a token to the newest pepper, while its value is at hand.
type Rehash struct {
	Version  int64
	From, To string // digests
}

// LastUse stores when a token was used. rehash may be nil.
type LastUse interface {
	Record(ctx context.Context, record *Record, at time.Time, rehash *Rehash)
}

// Verifier authenticates credentials.
type Verifier struct {
	Records Records
	Hasher  Hasher
	LastUse LastUse
	Now     func() time.Time
}

// VerifyTimeout bounds how long a caller waits for the store.
const VerifyTimeout = 5 * time.Second

// Authenticate returns the owner of a credential of the API. The error is a [*Refusal] if
// it is not accepted; any other error means that it is not known.
func (v *Verifier) Authenticate(ctx context.Context, value string) (Identity, error) {
	kind, wellFormed := ParseCredential(value)
	if !wellFormed {
		return Identity{}, &Refusal{Cause: CauseMalformed}
	}
	return v.Verify(ctx, kind, value)
}

// Verify is [Verifier.Authenticate] for a well-formed credential of any kind.
func (v *Verifier) Verify(ctx context.Context, kind Kind, value string) (Identity, error) {
	digest, newest := v.Hasher.Digest(value)
	record, generation := v.Records.Cached(digest)
	cached := record != nil
	if !cached {
		var err error
		if record, err = v.lookUp(ctx, kind, value); err != nil {
			return Identity{}, err
		}
	}
	if record == nil {
		return Identity{}, &Refusal{Cause: CauseUnknown, Prefix: PublicPrefix(kind, value)}
	}
	now := v.Now()
	if cause := record.Refuses(now); cause != "" {
		return Identity{}, &Refusal{Cause: cause, Prefix: record.Identity.Prefix}
	}
	if kind == PersonalAccessToken {
		var rehash *Rehash
		if record.PepperVersion < newest {
			rehash = &Rehash{Version: newest, From: record.Digest, To: digest}
		}
		v.LastUse.Record(ctx, record, now, rehash)
	}
	if !cached {
		v.Records.Cache(digest, record, generation)
	}
	return record.Identity, nil
}

// lookUp finds a credential under the newest pepper, or under an older one. It returns nil
// if there is none.
func (v *Verifier) lookUp(ctx context.Context, kind Kind, value string) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, VerifyTimeout)
	defer cancel()
	for digest := range v.Hasher.Digests(value) {
		record, err := v.Records.Record(ctx, kind, digest)
		if record != nil || err != nil {
			return record, err
		}
	}
	// Another process may have a newer pepper.
	renewed, err := v.Hasher.Renew(ctx)
	if err != nil || !renewed {
		return nil, err
	}
	return v.lookUp(ctx, kind, value)
}
