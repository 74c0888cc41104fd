package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

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

// prepareVerification compiles the statements that every request runs.
func (db *Store) prepareVerification(ctx context.Context) error {
	var err error
	if db.verifyToken, err = db.read.PrepareContext(ctx, selectToken+withDigest); err != nil {
		return fmt.Errorf("prepare the verification of tokens: %w", err)
	}
	if db.verifySession, err = db.read.PrepareContext(ctx, selectSession+withDigest); err != nil {
		return fmt.Errorf("prepare the verification of sessions: %w", err)
	}
	return nil
}

// Cached implements [domain.Records].
func (db *Store) Cached(digest string) (*domain.Record, uint64) { return db.cache.get(digest) }

// Cache implements [domain.Records].
func (db *Store) Cache(digest string, record *domain.Record, generation uint64) {
	db.cache.add(digest, record, generation)
}

// Record implements [domain.Records].
func (db *Store) Record(ctx context.Context, kind domain.Kind, digest string) (*domain.Record, error) {
	statement := db.verifyToken
	if kind.IsSession() {
		statement = db.verifySession
	}
	r, err := scanRecord(statement.QueryRowContext(ctx, digest), kind)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verify a credential: %w", err)
	}
	if !hmac.Equal([]byte(digest), []byte(r.Digest)) {
		return nil, nil
	}
	return r, nil
}

// scanRecord reads a row of selectToken or selectSession.
func scanRecord(row *sql.Row, kind domain.Kind) (*domain.Record, error) {
	var (
		r                                     domain.Record
		validFrom, expires, revoked, lastUsed sql.NullInt64
		renewable                             sql.NullInt64
		granted                               sql.NullString
		memberID, role                        sql.NullString
	)
	id := &r.Identity
	err := row.Scan(&id.CredentialID, &id.Prefix, &r.Digest, &r.PepperVersion,
		&validFrom, &expires, &revoked, &lastUsed, &granted, &renewable,
		&id.UserID, &id.Email, &id.FirstName, &id.LastName, &r.Status, &id.Verified, &id.OrgID, &memberID, &role)
	if err != nil {
		return nil, err
	}
	r.ValidFrom, r.Expires, r.Revoked, r.Member = optionalTime(validFrom), optionalTime(expires), revoked.Valid, memberID.Valid
	r.LastUsed.Store(lastUsed.Int64)
	id.RenewableUntil = optionalTime(renewable)
	id.Kind, id.MemberID, id.Role = kind, memberID.String, domain.Role(role.String)
	id.Permissions = id.Role.PermissionSet()
	if granted.Valid {
		id.Narrowed, id.Granted = true, domain.StoredPermissions(granted.String)
		id.Permissions = id.Granted.Intersect(id.Permissions)
	}
	return &r, nil
}

// AddSession implements [domain.SessionStore].
func (db *Store) AddSession(ctx context.Context, s domain.Session) error {
	return db.change(ctx, func(tx *sql.Tx) error { return insertSession(ctx, tx, s) })
}

func insertSession(ctx context.Context, tx *sql.Tx, s domain.Session) error {
	// Ended sessions would pile up otherwise.
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, toMicros(s.CreatedAt)); err != nil {
		return fmt.Errorf("remove ended sessions: %w", err)
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO sessions (id, user_id, org_id, prefix, pepper_version, digest, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		s.ID, s.UserID, s.OrgID, s.Prefix, s.PepperVersion, s.Digest, toMicros(s.CreatedAt), toMicros(s.ExpiresAt))
	if err != nil {
		return fmt.Errorf("store the session: %w", err)
	}
	return nil
}

// EndSession implements [domain.SessionStore].
func (db *Store) EndSession(ctx context.Context, id string) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1`, id); err != nil {
			return fmt.Errorf("end the session: %w", err)
		}
		return db.bumpEpoch(ctx, tx)
	})
}

// Remove implements [domain.SessionStore].
func (db *Store) Remove(ctx context.Context, digests []string) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		for _, digest := range digests {
			_, sessionErr := tx.ExecContext(ctx, `DELETE FROM sessions WHERE digest = $1`, digest)
			_, linkErr := tx.ExecContext(ctx, `DELETE FROM sign_in_links WHERE digest = $1`, digest)
			if err := errors.Join(sessionErr, linkErr); err != nil {
				return fmt.Errorf("take back what could not be shown: %w", err)
			}
		}
		return db.bumpEpoch(ctx, tx)
	})
}

// AddLink implements [domain.SessionStore].
func (db *Store) AddLink(ctx context.Context, l domain.Link) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sign_in_links WHERE expires_at <= $1`, toMicros(l.CreatedAt)); err != nil {
			return fmt.Errorf("remove ended links: %w", err)
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO sign_in_links (digest, user_id, org_id, pepper_version, expires_at) VALUES ($1, $2, $3, $4, $5)`,
			l.Digest, l.UserID, l.OrgID, l.PepperVersion, toMicros(l.ExpiresAt))
		if err != nil {
			return fmt.Errorf("store the link: %w", err)
		}
		return nil
	})
}

// LinkOwner implements [domain.SessionStore].
func (db *Store) LinkOwner(ctx context.Context, digests []string, now time.Time) (email string, err error) {
	in, next, args := digestList(digests)
	err = db.read.QueryRowContext(ctx, `
		SELECT u.email FROM sign_in_links l
		JOIN users u ON u.id = l.user_id
		JOIN memberships m ON m.user_id = l.user_id AND m.org_id = l.org_id
		WHERE l.digest IN `+in+` AND u.status = 'active' AND l.expires_at > `+next,
		append(args, toMicros(now))...).Scan(&email)
	if errors.Is(err, sql.ErrNoRows) {
		return "", domain.ErrLinkRefused
	}
	if err != nil {
		return "", fmt.Errorf("look for the link: %w", err)
	}
	return email, nil
}

// UseLink implements [domain.SessionStore].
func (db *Store) UseLink(ctx context.Context, digests []string, s domain.Session) error {
	in, next, args := digestList(digests)
	args = append(args, toMicros(s.CreatedAt))
	return db.change(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
			DELETE FROM sign_in_links WHERE digest IN `+in+` AND expires_at > `+next+`
			AND EXISTS (
				SELECT 1 FROM users u JOIN memberships m ON m.user_id = u.id
				WHERE u.id = sign_in_links.user_id AND m.org_id = sign_in_links.org_id AND u.status = 'active')
			RETURNING user_id, org_id`, args...).Scan(&s.UserID, &s.OrgID)
		if errors.Is(err, sql.ErrNoRows) {
			return domain.ErrLinkRefused
		}
		if err != nil {
			return fmt.Errorf("use the link up: %w", err)
		}
		return insertSession(ctx, tx, s)
	})
}

// digestList returns digests as arguments, their placeholders, and the next placeholder.
func digestList(digests []string) (list, next string, args []any) {
	for _, digest := range digests {
		args = append(args, digest)
	}
	return placeholders(len(args)), "$" + strconv.Itoa(len(args)+1), args
}

func placeholders(n int) string {
	each := make([]string, n)
	for i := range each {
		each[i] = "$" + strconv.Itoa(i+1)
	}
	return "(" + strings.Join(each, ", ") + ")"
}

// Peppers implements [pepper.Store].
func (db *Store) Peppers(ctx context.Context) (map[int64]string, error) {
	known := map[int64]string{}
	_, err := collect(ctx, db.read, "read the pepper versions", func(rows *sql.Rows) (version int64, err error) {
		var proof string
		err = rows.Scan(&version, &proof)
		known[version] = proof
		return version, err
	}, `SELECT version, proof FROM peppers`)
	return known, err
}

// NewestPepper implements [pepper.Store].
func (db *Store) NewestPepper(ctx context.Context) (int64, error) {
	var newest sql.NullInt64
	if err := db.read.QueryRowContext(ctx, `SELECT max(version) FROM peppers`).Scan(&newest); err != nil {
		return 0, fmt.Errorf("read the pepper versions: %w", err)
	}
	return newest.Int64, nil
}

// AddPepper implements [pepper.Store].
func (db *Store) AddPepper(ctx context.Context, version int64, proof string) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO peppers (version, proof) VALUES ($1, $2)`, version, proof); err != nil {
			return fmt.Errorf("store the pepper version: %w", err)
		}
		return nil
	})
}

// CredentialsUnder implements [pepper.Store].
func (db *Store) CredentialsUnder(ctx context.Context, version int64, now time.Time) (n int, err error) {
	err = db.read.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM tokens WHERE pepper_version = $1 AND revoked_at IS NULL)
		     + (SELECT count(*) FROM sessions WHERE pepper_version = $2 AND expires_at > $3)
		     + (SELECT count(*) FROM sign_in_links WHERE pepper_version = $4 AND expires_at > $5)`,
		version, version, toMicros(now), version, toMicros(now)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the tokens under version %d of the pepper: %w", version, err)
	}
	return n, nil
}
