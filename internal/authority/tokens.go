package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Issued is a new token. Value is the secret, which cannot be read again;
// formatting and logging an Issued leave it out.
type Issued struct {
	ID        string
	Name      string
	Value     string
	Prefix    string // the part of Value that may be shown
	CreatedAt time.Time
	ExpiresAt *time.Time // nil means never
}

// Format implements [fmt.Formatter] for every verb.
func (i Issued) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, i.ID+" "+i.Prefix) // fmt gives no way to report it
}

// LogValue implements [slog.LogValuer].
func (i Issued) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", i.ID), slog.String("prefix", i.Prefix))
}

// token is what is known of one afterwards.
type token struct {
	id         string
	name       string
	prefix     string
	createdAt  time.Time
	lastUsedAt *time.Time
	expiresAt  *time.Time
	revokedAt  *time.Time
}

// IssueToken makes a token for a user, named by address or id, in the one
// organization that he is in. A nil expires means that it never ends; fractions
// of a second are cut off. It returns an [*InvalidError] for a name or an
// expiry that the API would refuse, and [ErrTokenLimit].
func (a *Authority) IssueToken(ctx context.Context, user, name string, expires *time.Time) (Issued, error) {
	member, err := a.soleMembership(ctx, user)
	if err != nil {
		return Issued{}, err
	}
	return a.createToken(ctx, member.ID, member.OrgID, name, expires)
}

func (a *Authority) createToken(ctx context.Context, userID, orgID, name string, expires *time.Time) (Issued, error) {
	now := a.now()
	if err := validateTokenName(name); err != nil {
		return Issued{}, err
	}
	expires, err := validateExpiry(expires, now)
	if err != nil {
		return Issued{}, err
	}
	var issued Issued
	err = a.db.change(ctx, func(tx *sql.Tx) error {
		if err := a.makeRoom(ctx, tx, userID, now); err != nil {
			return err
		}
		issued = Issued{ID: newID("pat_"), Name: name, CreatedAt: now, ExpiresAt: expires}
		issued.Value, issued.Prefix, err = newTokenValue(ctx, tx, userID)
		if err != nil {
			return err
		}
		key := a.peppers.current()
		_, err := tx.ExecContext(ctx, `
			INSERT INTO tokens (id, user_id, org_id, name, prefix, pepper_version, digest, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			issued.ID, userID, orgID, name, issued.Prefix, key.version, key.digest(issued.Value), toMicros(now), optionalMicros(expires))
		if err != nil {
			return fmt.Errorf("store the token: %w", err)
		}
		return nil
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// makeRoom returns ErrTokenLimit if the user may have no further token. It
// writes to the user's row first, which makes others that create for the same
// user wait until this transaction has ended, on any database.
func (a *Authority) makeRoom(ctx context.Context, tx *sql.Tx, userID string, now time.Time) error {
	result, err := tx.ExecContext(ctx, `UPDATE users SET status = status WHERE id = $1`, userID)
	if err != nil {
		return fmt.Errorf("lock the user: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("lock the user: %w", err)
	} else if n == 0 {
		return ErrUnknownUser
	}
	var active int
	err = tx.QueryRowContext(ctx, `
		SELECT count(*) FROM tokens
		WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`, userID, toMicros(now)).Scan(&active)
	if err != nil {
		return fmt.Errorf("count the tokens: %w", err)
	}
	if active >= a.tokenLimit {
		return ErrTokenLimit
	}
	return nil
}

// newTokenValue draws values until the public prefix is one that the user has
// not had: he must be able to tell his tokens apart by it.
func newTokenValue(ctx context.Context, tx *sql.Tx, userID string) (value, prefix string, err error) {
	for {
		value = newCredential(personalAccessToken)
		prefix = publicPrefix(personalAccessToken, value)
		var taken int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM tokens WHERE user_id = $1 AND prefix = $2`, userID, prefix).Scan(&taken)
		if err != nil {
			return "", "", fmt.Errorf("look for the prefix: %w", err)
		}
		if taken == 0 {
			return value, prefix, nil
		}
	}
}

// tokensOf returns all tokens of a user, revoked ones too, the newest first.
func (a *Authority) tokensOf(ctx context.Context, userID string) (_ []token, err error) {
	rows, err := a.db.read.QueryContext(ctx, `
		SELECT id, name, prefix, created_at, last_used_at, expires_at, revoked_at FROM tokens
		WHERE user_id = $1 ORDER BY created_at DESC, id`, userID)
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var tokens []token
	for rows.Next() {
		var t token
		var created int64
		var lastUsed, expires, revoked sql.NullInt64
		if err := rows.Scan(&t.id, &t.name, &t.prefix, &created, &lastUsed, &expires, &revoked); err != nil {
			return nil, fmt.Errorf("read the tokens: %w", err)
		}
		t.createdAt = fromMicros(created)
		t.lastUsedAt, t.expiresAt, t.revokedAt = optionalTime(lastUsed), optionalTime(expires), optionalTime(revoked)
		tokens = append(tokens, t)
	}
	return tokens, rows.Err()
}

// revokeToken ends a live token of the user's. It returns errTokenNotFound for
// everything that is not his, and for one that is revoked already: of two
// requests that revoke the same token only one succeeds, so that two rotations
// at once can tell which of them won.
func (a *Authority) revokeToken(ctx context.Context, userID, id string) error {
	if !couldBeID(id) {
		return errTokenNotFound
	}
	return a.db.change(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `
			UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND user_id = $3 AND revoked_at IS NULL`,
			toMicros(a.now()), id, userID)
		if err != nil {
			return fmt.Errorf("revoke the token: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("revoke the token: %w", err)
		} else if n == 0 {
			return errTokenNotFound
		}
		return a.bumpEpoch(ctx, tx)
	})
}
