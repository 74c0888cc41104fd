package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// DefaultSessionLifetime is how long a session lasts if nothing else is said.
const DefaultSessionLifetime = 12 * time.Hour

// maxSessionLifetime keeps a session what it is: a token is the thing for
// longer.
const maxSessionLifetime = 30 * 24 * time.Hour

// IssueSession signs a user in, named by address or id, in the one organization
// that he is in, and returns the session token. It is accepted as a bearer
// token until lifetime has passed, which is at most 30 days; zero means
// [DefaultSessionLifetime]. Like a token's its value is not kept. The error is
// [ErrSuspended] for a user whom it would let in nowhere.
func (a *Authority) IssueSession(ctx context.Context, user string, lifetime time.Duration) (string, error) {
	return a.IssueSessionIn(ctx, user, "", lifetime)
}

// IssueSessionIn is [Authority.IssueSession] for somebody who is in several
// organizations, of which one is named.
func (a *Authority) IssueSessionIn(ctx context.Context, user, organization string, lifetime time.Duration) (string, error) {
	if lifetime == 0 {
		lifetime = DefaultSessionLifetime
	}
	if lifetime < time.Second || lifetime > maxSessionLifetime {
		return "", &InvalidError{Field: "session lifetime", Problem: fmt.Sprintf("must be from one second to %d hours", int(maxSessionLifetime.Hours()))}
	}
	member, err := a.whoMaySignIn(ctx, user, organization)
	if err != nil {
		return "", err
	}
	var value string
	err = a.db.change(ctx, func(tx *sql.Tx) error {
		value, err = a.startSession(ctx, tx, sessionToken, member.ID, member.OrgID, lifetime)
		return err
	})
	if err != nil {
		return "", err
	}
	return value, nil
}

// whoMaySignIn is [Authority.membership] of somebody whom a session lets in.
func (a *Authority) whoMaySignIn(ctx context.Context, user, organization string) (User, error) {
	member, err := a.membership(ctx, user, organization)
	if err == nil && member.Status == StatusSuspended {
		return User{}, ErrSuspended
	}
	return member, err
}

func (a *Authority) startSession(ctx context.Context, tx *sql.Tx, kind credentialKind, userID, orgID string, lifetime time.Duration) (value string, err error) {
	now := a.now()
	// Ended sessions are of no use to anybody, and this is the one moment at
	// which they would pile up.
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, toMicros(now)); err != nil {
		return "", fmt.Errorf("remove ended sessions: %w", err)
	}
	value = newCredential(kind)
	key := a.peppers.current()
	_, err = tx.ExecContext(ctx, `
		INSERT INTO sessions (id, user_id, org_id, prefix, pepper_version, digest, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		newID("ses_"), userID, orgID, publicPrefix(kind, value), key.version, key.digest(value), toMicros(now), toMicros(now.Add(lifetime)))
	if err != nil {
		return "", fmt.Errorf("store the session: %w", err)
	}
	return value, nil
}

// endSession makes a session's token worthless. It is no error if that has
// happened already.
func (a *Authority) endSession(ctx context.Context, id string) error {
	return a.db.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1`, id); err != nil {
			return fmt.Errorf("end the session: %w", err)
		}
		return a.bumpEpoch(ctx, tx)
	})
}

// TakeBack makes a session's token, or the address of a sign-in link, worthless
// after it could not be shown. It is no error if that has happened already.
func (a *Authority) TakeBack(ctx context.Context, value string) error {
	value = value[strings.LastIndexByte(value, '/')+1:]
	return a.db.change(ctx, func(tx *sql.Tx) error {
		for digest := range a.peppers.digests(value) {
			_, sessionErr := tx.ExecContext(ctx, `DELETE FROM sessions WHERE digest = $1`, digest)
			_, linkErr := tx.ExecContext(ctx, `DELETE FROM sign_in_links WHERE digest = $1`, digest)
			if err := errors.Join(sessionErr, linkErr); err != nil {
				return fmt.Errorf("take back what could not be shown: %w", err)
			}
		}
		return a.bumpEpoch(ctx, tx)
	})
}
