package authority

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// credentialRecord is all that the store knows of a credential and of whom it
// stands for. It says nothing of the time at which it is used.
type credentialRecord struct {
	identity      identity
	digest        string
	pepperVersion int64

	validFrom *time.Time
	expires   *time.Time
	revoked   bool
	status    UserStatus
	member    bool

	// lastUsed, in microseconds and 0 for never, and whether it is being moved to
	// the newest pepper, are all that changes while a record is remembered.
	lastUsed  atomic.Int64
	rehashing atomic.Bool
}

// refuses returns the cause for which the credential is not accepted at a time,
// or nothing.
func (r *credentialRecord) refuses(now time.Time) (cause string) {
	switch {
	case r.revoked:
		return causeRevoked
	case expired(r.expires, now):
		return causeExpired
	case notYetValid(r.validFrom, now):
		return causeNotYet
	case r.status != StatusActive:
		return causeSuspended
	case !r.member:
		return causeNotMember
	}
	return ""
}

const (
	selectToken = `
	SELECT c.id, c.prefix, c.digest, c.pepper_version, c.valid_from, c.expires_at, c.revoked_at, c.last_used_at, c.permissions, c.renewable_until,
	       u.id, u.email, u.first_name, u.last_name, u.status, u.verified, c.org_id, m.id, m.role
	FROM tokens c` + recordJoins
	selectSession = `
	SELECT c.id, c.prefix, c.digest, c.pepper_version, NULL, c.expires_at, NULL, NULL, NULL, NULL,
	       u.id, u.email, u.first_name, u.last_name, u.status, u.verified, c.org_id, m.id, m.role
	FROM sessions c` + recordJoins
	recordJoins = `
	JOIN users u ON u.id = c.user_id
	LEFT JOIN memberships m ON m.user_id = c.user_id AND m.org_id = c.org_id`
	withDigest = ` WHERE c.digest = $1`
)

// prepare compiles the statements that every request runs.
func (db *database) prepare(ctx context.Context) error {
	var err error
	if db.verifyToken, err = db.read.PrepareContext(ctx, selectToken+withDigest); err != nil {
		return fmt.Errorf("prepare the verification of tokens: %w", err)
	}
	if db.verifySession, err = db.read.PrepareContext(ctx, selectSession+withDigest); err != nil {
		return fmt.Errorf("prepare the verification of sessions: %w", err)
	}
	return nil
}

// lookUp finds a credential under the newest pepper or, if it was not used since
// that came, under one of those before it. It returns nil if there is none.
func (a *Authority) lookUp(ctx context.Context, kind credentialKind, value string) (*credentialRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	for digest := range a.peppers.digests(value) {
		record, err := a.readRecord(ctx, kind, digest)
		if record != nil || err != nil {
			return record, err
		}
	}
	// It may have been made under a pepper that came after this process began.
	renewed, err := a.peppers.renew(ctx, a.db)
	if err != nil {
		return nil, fmt.Errorf("verify a credential: %w", err)
	}
	if !renewed {
		return nil, nil
	}
	return a.lookUp(ctx, kind, value)
}

func (a *Authority) readRecord(ctx context.Context, kind credentialKind, digest string) (*credentialRecord, error) {
	statement := a.db.verifyToken
	if kind.isSession() {
		statement = a.db.verifySession
	}
	r, err := scanRecord(statement.QueryRowContext(ctx, digest), kind)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verify a credential: %w", err)
	}
	if !hmac.Equal([]byte(digest), []byte(r.digest)) {
		return nil, nil
	}
	return r, nil
}

// scanRecord reads a row of selectToken or selectSession.
func scanRecord(row *sql.Row, kind credentialKind) (*credentialRecord, error) {
	var (
		r                                     credentialRecord
		validFrom, expires, revoked, lastUsed sql.NullInt64
		renewable                             sql.NullInt64
		granted                               sql.NullString
		memberID, role                        sql.NullString
	)
	id := &r.identity
	err := row.Scan(&id.credentialID, &id.prefix, &r.digest, &r.pepperVersion,
		&validFrom, &expires, &revoked, &lastUsed, &granted, &renewable,
		&id.userID, &id.email, &id.firstName, &id.lastName, &r.status, &id.verified, &id.orgID, &memberID, &role)
	if err != nil {
		return nil, err
	}
	r.validFrom, r.expires, r.revoked, r.member = optionalTime(validFrom), optionalTime(expires), revoked.Valid, memberID.Valid
	r.lastUsed.Store(lastUsed.Int64)
	id.renewableUntil = optionalTime(renewable)
	id.kind, id.memberID, id.role = kind, memberID.String, Role(role.String)
	id.permissions = rolePermissions[id.role]
	if granted.Valid {
		id.narrowed, id.granted = true, storedPermissions(granted.String)
		id.permissions = id.granted.intersect(id.permissions)
	}
	return &r, nil
}
