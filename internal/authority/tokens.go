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

	validFrom   *time.Time
	permissions permissionSet
	parentID    string
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
	orgID      string
	name       string
	prefix     string
	createdAt  time.Time
	lastUsedAt *time.Time
	expiresAt  *time.Time
	revokedAt  *time.Time

	validFrom   *time.Time    // nil means from its creation on
	permissions permissionSet // nil means that it is not narrowed

	parentID       string     // the token that it was made with; empty for none
	renewableUntil *time.Time // the latest expiry that it can give; nil means any
}

// tokenRequest is what a new token is to be.
type tokenRequest struct {
	name        string
	validFrom   *time.Time    // nil means from its creation on
	expires     *time.Time    // nil means never
	permissions permissionSet // nil means that it is not narrowed
}

// validate returns the request with its times in whole seconds.
func (r tokenRequest) validate(now time.Time) (tokenRequest, error) {
	if err := validateTokenName(r.name); err != nil {
		return tokenRequest{}, err
	}
	var err error
	if r.expires, err = validateExpiry(r.expires, now); err != nil {
		return tokenRequest{}, err
	}
	if r.validFrom, err = validateBegin(r.validFrom); err != nil {
		return tokenRequest{}, err
	}
	return r, validateValidity(r.validFrom, r.expires)
}

// delegate returns what a token that is made by as and narrowed to asked may
// do. Nobody gives more than he holds now. What a narrowed token makes is
// narrowed like itself where nothing else is asked for.
func (as identity) delegate(asked permissionSet) (permissionSet, error) {
	if asked == nil {
		return as.granted, nil
	}
	if p, outside := asked.firstOutside(as.permissions); outside {
		return nil, cannotDelegate(p)
	}
	return asked, nil
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
	return a.createToken(ctx, member.ID, member.OrgID, tokenRequest{name: name, expires: expires})
}

// createToken makes a token as it was requested, for somebody who may have any.
func (a *Authority) createToken(ctx context.Context, userID, orgID string, request tokenRequest) (Issued, error) {
	return a.insertToken(ctx, userID, orgID, request, func(_ *sql.Tx, request tokenRequest, now time.Time) (grant, error) {
		return grant{permissions: request.permissions, renewableUntil: lineageBound(now, request.expires)}, nil
	})
}

// createTokenAs makes a token for whoever asks for it, within what he holds at
// that moment. What else belongs to the same change comes before, in also; it
// returns a *refusal if the caller's own credential has ended.
func (a *Authority) createTokenAs(ctx context.Context, as identity, request tokenRequest, also ...func(tx *sql.Tx) error) (Issued, error) {
	return a.insertToken(ctx, as.userID, as.orgID, request, func(tx *sql.Tx, request tokenRequest, now time.Time) (grant, error) {
		as, err := a.confirm(ctx, tx, as, writeTokens)
		if err != nil {
			return grant{}, err
		}
		for _, do := range also {
			if err := do(tx); err != nil {
				return grant{}, err
			}
		}
		var given grant
		if given.permissions, err = as.delegate(request.permissions); err != nil {
			return grant{}, err
		}
		if given.renewableUntil, err = as.boundFor(now, request.expires); err != nil {
			return grant{}, err
		}
		if as.kind == personalAccessToken {
			given.parentID = as.credentialID
		}
		return given, nil
	})
}

// grant is what a new token gets from whoever makes it.
type grant struct {
	permissions    permissionSet // nil means that it is not narrowed
	parentID       string
	renewableUntil *time.Time
}

// insertToken stores a token with what decide gives it, which gets the validated
// request and the time of the token's creation.
func (a *Authority) insertToken(
	ctx context.Context, userID, orgID string, request tokenRequest, decide func(tx *sql.Tx, request tokenRequest, now time.Time) (grant, error),
) (Issued, error) {
	now := a.now()
	request, err := request.validate(now)
	if err != nil {
		return Issued{}, err
	}
	if err := a.withinLifetime(now, request.expires); err != nil {
		return Issued{}, err
	}
	var issued Issued
	err = a.db.change(ctx, func(tx *sql.Tx) error {
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		given, err := decide(tx, request, now)
		if err != nil {
			return err
		}
		if err := a.makeRoom(ctx, tx, userID, now); err != nil {
			return err
		}
		issued = Issued{
			ID: newID("pat_"), Name: request.name, CreatedAt: now, ExpiresAt: request.expires,
			validFrom: request.validFrom, permissions: given.permissions, parentID: given.parentID,
		}
		issued.Value, issued.Prefix, err = newTokenValue(ctx, tx, userID)
		if err != nil {
			return err
		}
		key := a.peppers.current()
		_, err = tx.ExecContext(ctx, `
			INSERT INTO tokens (id, user_id, org_id, name, prefix, pepper_version, digest, created_at, valid_from, expires_at, permissions, parent_id, renewable_until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			issued.ID, userID, orgID, issued.Name, issued.Prefix, key.version, key.digest(issued.Value),
			toMicros(now), optionalMicros(issued.validFrom), optionalMicros(issued.ExpiresAt), optionalPermissions(issued.permissions),
			sql.NullString{String: given.parentID, Valid: given.parentID != ""}, optionalMicros(given.renewableUntil))
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

func optionalPermissions(set permissionSet) sql.NullString {
	return sql.NullString{String: set.String(), Valid: set != nil}
}

// lockUser writes to the user's row, which makes others that create or change
// tokens of the same user wait until this transaction has ended, on any
// database.
func lockUser(ctx context.Context, tx *sql.Tx, userID string) error {
	result, err := tx.ExecContext(ctx, `UPDATE users SET status = status WHERE id = $1`, userID)
	if err != nil {
		return fmt.Errorf("lock the user: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("lock the user: %w", err)
	} else if n == 0 {
		return ErrUnknownUser
	}
	return nil
}

// makeRoom returns ErrTokenLimit if the user, who must be locked, may have no
// further active token.
func (a *Authority) makeRoom(ctx context.Context, tx *sql.Tx, userID string, now time.Time) error {
	var active int
	err := tx.QueryRowContext(ctx, `
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
	rows, err := a.db.read.QueryContext(ctx, selectTokens+` WHERE user_id = $1 ORDER BY created_at DESC, id`, userID)
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var tokens []token
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("read the tokens: %w", err)
		}
		tokens = append(tokens, t)
	}
	return tokens, rows.Err()
}

const selectTokens = `
	SELECT id, org_id, name, prefix, created_at, last_used_at, valid_from, expires_at, revoked_at, permissions, parent_id, renewable_until FROM tokens`

// scanToken reads a row of selectTokens.
func scanToken(row interface{ Scan(dest ...any) error }) (token, error) {
	var t token
	var created int64
	var lastUsed, validFrom, expires, revoked, renewable sql.NullInt64
	var granted, parent sql.NullString
	if err := row.Scan(&t.id, &t.orgID, &t.name, &t.prefix, &created, &lastUsed, &validFrom, &expires, &revoked, &granted, &parent, &renewable); err != nil {
		return token{}, err
	}
	t.createdAt, t.lastUsedAt = fromMicros(created), optionalTime(lastUsed)
	t.validFrom, t.expiresAt, t.revokedAt = optionalTime(validFrom), optionalTime(expires), optionalTime(revoked)
	t.parentID, t.renewableUntil = parent.String, optionalTime(renewable)
	if granted.Valid {
		t.permissions = storedPermissions(granted.String)
	}
	return t, nil
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
