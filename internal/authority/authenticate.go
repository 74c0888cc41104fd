package authority

import (
	"context"
	"time"
)

// identity is who a request acts as, as it stands at that request.
type identity struct {
	kind         credentialKind
	credentialID string
	prefix       string

	userID    string
	email     string
	firstName string
	lastName  string
	verified  bool

	orgID    string
	memberID string
	role     Role

	permissions permissionSet // what counts now: the role's, and the token's where it is narrowed
	narrowed    bool          // the token holds less than the role may
	granted     permissionSet // what the token is narrowed to; nil if it is not

	renewableUntil *time.Time // the latest expiry that the credential can give to a token; nil for any
}

// refusal is why a credential is not accepted. Callers are not told: the log
// is.
type refusal struct {
	cause  string
	prefix string // empty if the credential was malformed
}

func (r *refusal) Error() string { return "the credential is " + r.cause }

const (
	causeMalformed = "malformed"
	causeUnknown   = "unknown"
	causeRevoked   = "revoked"
	causeExpired   = "expired"
	causeNotYet    = "not valid yet"
	causeSuspended = "of a suspended user"
	causeNotMember = "of somebody who is not a member of its organization"
)

// verifyTimeout bounds how long a caller waits for the store to say who he is.
const verifyTimeout = 5 * time.Second

// authenticate finds out who a credential of the API stands for. It returns a
// *refusal if for nobody, and any other error if it could not find out.
func (a *Authority) authenticate(ctx context.Context, value string) (identity, error) {
	kind, wellFormed := parseCredential(value)
	if !wellFormed {
		return identity{}, &refusal{cause: causeMalformed}
	}
	return a.verify(ctx, kind, value)
}

// verify is authenticate for a well-formed credential of any kind.
func (a *Authority) verify(ctx context.Context, kind credentialKind, value string) (identity, error) {
	newest := a.peppers.current()
	digest := newest.digest(value)
	record, generation := a.db.cache.get(digest)
	remembered := record != nil
	if !remembered {
		var err error
		if record, err = a.lookUp(ctx, kind, value); err != nil {
			return identity{}, err
		}
	}
	if record == nil {
		return identity{}, &refusal{cause: causeUnknown, prefix: publicPrefix(kind, value)}
	}
	now := a.now()
	if cause := record.refuses(now); cause != "" {
		return identity{}, &refusal{cause: cause, prefix: record.identity.prefix}
	}
	if kind == personalAccessToken {
		u := use{tokenID: record.identity.credentialID, at: now}
		if record.pepperVersion < newest.version {
			u.rehash = &rehash{version: newest.version, from: record.digest, to: digest}
		}
		a.lastUsed.record(ctx, record, u)
	}
	if !remembered {
		a.db.cache.add(digest, record, generation)
	}
	return record.identity, nil
}

// expired tells whether the end has come. The instant itself is past it.
func expired(end *time.Time, now time.Time) bool { return end != nil && !now.Before(*end) }

// notYetValid tells whether the beginning is still to come. The instant itself
// is part of what it begins.
func notYetValid(begin *time.Time, now time.Time) bool { return begin != nil && now.Before(*begin) }
