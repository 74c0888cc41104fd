package authority

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

const (
	verifyTokenColumns = `
	SELECT c.id, c.prefix, c.digest, c.valid_from, c.expires_at, c.revoked_at, c.last_used_at, c.permissions,
	       u.id, u.email, u.first_name, u.last_name, u.status, u.verified, c.org_id, m.id, m.role
	FROM tokens c`
	verifySessionColumns = `
	SELECT c.id, c.prefix, c.digest, NULL, c.expires_at, NULL, NULL, NULL,
	       u.id, u.email, u.first_name, u.last_name, u.status, u.verified, c.org_id, m.id, m.role
	FROM sessions c`
	verifyJoins = `
	JOIN users u ON u.id = c.user_id
	LEFT JOIN memberships m ON m.user_id = c.user_id AND m.org_id = c.org_id
	WHERE c.digest IN `
)

// prepare compiles the statements that every request runs.
func (db *database) prepare(ctx context.Context, peppers int) error {
	placeholders := make([]string, peppers)
	for i := range placeholders {
		placeholders[i] = "$" + strconv.Itoa(i+1)
	}
	in := "(" + strings.Join(placeholders, ", ") + ")"
	var err error
	if db.verifyToken, err = db.read.PrepareContext(ctx, verifyTokenColumns+verifyJoins+in); err != nil {
		return fmt.Errorf("prepare the verification of tokens: %w", err)
	}
	if db.verifySession, err = db.read.PrepareContext(ctx, verifySessionColumns+verifyJoins+in); err != nil {
		return fmt.Errorf("prepare the verification of sessions: %w", err)
	}
	return nil
}

// authenticate finds out who a credential stands for, in one query. It returns
// a *refusal if for nobody, and any other error if it could not find out.
func (a *Authority) authenticate(ctx context.Context, value string) (identity, error) {
	kind, wellFormed := parseCredential(value)
	if !wellFormed {
		return identity{}, &refusal{cause: causeMalformed}
	}
	id := identity{kind: kind, prefix: publicPrefix(kind, value)}
	refuse := func(cause string) (identity, error) { return identity{}, &refusal{cause: cause, prefix: id.prefix} }

	statement := a.db.verifyToken
	if kind == sessionToken {
		statement = a.db.verifySession
	}
	digests := a.peppers.digests(value)
	var (
		digest                                string
		validFrom, expires, revoked, lastUsed sql.NullInt64
		granted                               sql.NullString
		status                                UserStatus
		memberID, role                        sql.NullString
	)
	err := statement.QueryRowContext(ctx, digests...).Scan(&id.credentialID, &id.prefix, &digest,
		&validFrom, &expires, &revoked, &lastUsed, &granted, &id.userID, &id.email, &id.firstName, &id.lastName, &status, &id.verified, &id.orgID, &memberID, &role)
	if errors.Is(err, sql.ErrNoRows) {
		return refuse(causeUnknown)
	}
	if err != nil {
		return identity{}, fmt.Errorf("verify a credential: %w", err)
	}
	if !slices.ContainsFunc(digests, func(d any) bool { return hmac.Equal([]byte(d.(string)), []byte(digest)) }) {
		return refuse(causeUnknown)
	}
	now := a.now()
	switch {
	case revoked.Valid:
		return refuse(causeRevoked)
	case expired(optionalTime(expires), now):
		return refuse(causeExpired)
	case notYetValid(optionalTime(validFrom), now):
		return refuse(causeNotYet)
	case status != StatusActive:
		return refuse(causeSuspended)
	case !memberID.Valid:
		return refuse(causeNotMember)
	}
	id.memberID, id.role = memberID.String, Role(role.String)
	id.permissions = rolePermissions[id.role]
	if granted.Valid {
		id.narrowed, id.granted = true, storedPermissions(granted.String)
		id.permissions = id.granted.intersect(id.permissions)
	}
	if kind == personalAccessToken {
		a.lastUsed.record(ctx, id.credentialID, optionalTime(lastUsed), now)
	}
	return id, nil
}

// expired tells whether the end has come. The instant itself is past it.
func expired(end *time.Time, now time.Time) bool { return end != nil && !now.Before(*end) }

// notYetValid tells whether the beginning is still to come. The instant itself
// is part of what it begins.
func notYetValid(begin *time.Time, now time.Time) bool { return begin != nil && now.Before(*begin) }
