package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

const selectTokens = `
	SELECT id, org_id, name, prefix, created_at, last_used_at, valid_from, expires_at, revoked_at, permissions, parent_id, renewable_until FROM tokens`

// scanToken reads a row of selectTokens.
func scanToken[R interface{ Scan(dest ...any) error }](row R) (domain.Token, error) {
	var t domain.Token
	var created int64
	var lastUsed, validFrom, expires, revoked, renewable sql.NullInt64
	var granted, parent sql.NullString
	if err := row.Scan(&t.ID, &t.OrgID, &t.Name, &t.Prefix, &created, &lastUsed, &validFrom, &expires, &revoked, &granted, &parent, &renewable); err != nil {
		return domain.Token{}, err
	}
	t.CreatedAt, t.LastUsedAt = fromMicros(created), optionalTime(lastUsed)
	t.ValidFrom, t.ExpiresAt, t.RevokedAt = optionalTime(validFrom), optionalTime(expires), optionalTime(revoked)
	t.ParentID, t.RenewableUntil = parent.String, optionalTime(renewable)
	if granted.Valid {
		t.Permissions = domain.StoredPermissions(granted.String)
	}
	return t, nil
}

func optionalPermissions(set domain.PermissionSet) sql.NullString {
	return sql.NullString{String: set.String(), Valid: set != nil}
}

// Tokens implements [domain.TokenStore].
func (db *Store) Tokens(ctx context.Context, userID string) ([]domain.Token, error) {
	return collect(ctx, db.read, "read the tokens", scanToken[*sql.Rows],
		selectTokens+` WHERE user_id = $1 ORDER BY created_at DESC, id`, userID)
}

// Revoke implements [domain.TokenStore].
func (db *Store) Revoke(ctx context.Context, userID, id string, at time.Time) error {
	return db.changeOne(ctx, "revoke the token", domain.ErrTokenNotFound, `
		UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND user_id = $3 AND revoked_at IS NULL`, toMicros(at), id, userID)
}

// line selects a user's token, $1 and $2, and all that were made with it.
const line = `
	WITH RECURSIVE line (id) AS (
		SELECT id FROM tokens WHERE id = $1 AND user_id = $2
		UNION
		SELECT t.id FROM tokens t JOIN line ON t.parent_id = line.id)`

// RevokeLine implements [domain.TokenStore].
func (db *Store) RevokeLine(ctx context.Context, userID, id string, at time.Time) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		// Nothing is made with one of them meanwhile.
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		err := execOne(ctx, tx, "revoke the token and those made with it", domain.ErrTokenNotFound, line+`
			UPDATE tokens SET revoked_at = $3 WHERE revoked_at IS NULL AND id IN (SELECT id FROM line)`, id, userID, toMicros(at))
		if err != nil {
			return err
		}
		return db.bumpEpoch(ctx, tx)
	})
}

// transaction implements [domain.Tx].
type transaction struct {
	db *Store
	tx *sql.Tx
}

func (t *transaction) LockUser(ctx context.Context, userID string) error {
	return lockUser(ctx, t.tx, userID)
}

// lockUser writes to the user's row, which makes others wait on any database.
func lockUser(ctx context.Context, tx *sql.Tx, userID string) error {
	return execOne(ctx, tx, "lock the user", domain.ErrUnknownUser, `UPDATE users SET status = status WHERE id = $1`, userID)
}

func (t *transaction) LockCredential(ctx context.Context, kind domain.Kind, id string) (*domain.Record, error) {
	lock, query := `UPDATE tokens SET revoked_at = revoked_at WHERE id = $1`, selectToken
	if kind.IsSession() {
		lock, query = `UPDATE sessions SET expires_at = expires_at WHERE id = $1`, selectSession
	}
	if _, err := t.tx.ExecContext(ctx, lock, id); err != nil {
		return nil, fmt.Errorf("lock the credential: %w", err)
	}
	record, err := scanRecord(t.tx.QueryRowContext(ctx, query+` WHERE c.id = $1`, id), kind)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the credential again: %w", err)
	}
	return record, nil
}

func (t *transaction) ActiveTokens(ctx context.Context, userID string, now time.Time) (active int, err error) {
	err = t.tx.QueryRowContext(ctx, `
		SELECT count(*) FROM tokens
		WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`, userID, toMicros(now)).Scan(&active)
	if err != nil {
		return 0, fmt.Errorf("count the tokens: %w", err)
	}
	return active, nil
}

func (t *transaction) HasPrefix(ctx context.Context, userID, prefix string) (bool, error) {
	var taken int
	err := t.tx.QueryRowContext(ctx, `SELECT count(*) FROM tokens WHERE user_id = $1 AND prefix = $2`, userID, prefix).Scan(&taken)
	if err != nil {
		return false, fmt.Errorf("look for the prefix: %w", err)
	}
	return taken > 0, nil
}

func (t *transaction) InsertToken(ctx context.Context, userID string, made domain.Token, digest string, pepperVersion int64) error {
	_, err := t.tx.ExecContext(ctx, `
		INSERT INTO tokens (id, user_id, org_id, name, prefix, pepper_version, digest, created_at, valid_from, expires_at, permissions, parent_id, renewable_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		made.ID, userID, made.OrgID, made.Name, made.Prefix, pepperVersion, digest,
		toMicros(made.CreatedAt), optionalMicros(made.ValidFrom), optionalMicros(made.ExpiresAt), optionalPermissions(made.Permissions),
		sql.NullString{String: made.ParentID, Valid: made.ParentID != ""}, optionalMicros(made.RenewableUntil))
	if err != nil {
		return fmt.Errorf("store the token: %w", err)
	}
	return nil
}

func (t *transaction) Token(ctx context.Context, userID, id string) (domain.Token, error) {
	found, err := scanToken(t.tx.QueryRowContext(ctx, selectTokens+` WHERE id = $1 AND user_id = $2`, id, userID))
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Token{}, domain.ErrTokenNotFound
	}
	if err != nil {
		return domain.Token{}, fmt.Errorf("read the token: %w", err)
	}
	return found, nil
}

func (t *transaction) UpdateToken(ctx context.Context, changed domain.Token) error {
	// A revocation does not wait for the user's lock, and must win.
	err := execOne(ctx, t.tx, "change the token", domain.ErrTokenRevoked, `
		UPDATE tokens SET name = $1, valid_from = $2, expires_at = $3, permissions = $4, renewable_until = $5
		WHERE id = $6 AND revoked_at IS NULL`,
		changed.Name, optionalMicros(changed.ValidFrom), optionalMicros(changed.ExpiresAt), optionalPermissions(changed.Permissions), optionalMicros(changed.RenewableUntil), changed.ID)
	if err != nil {
		return err
	}
	return t.db.bumpEpoch(ctx, t.tx)
}

func (t *transaction) ClaimForm(ctx context.Context, sessionID, form string) error {
	return execOne(ctx, t.tx, "note that the form was sent", domain.ErrFormSent, `
		INSERT INTO sent_forms (session_id, form) VALUES ($1, $2) ON CONFLICT (session_id, form) DO NOTHING`, sessionID, form)
}

func (t *transaction) SetActiveUnit(ctx context.Context, memberID, orgID, unitID string) error {
	return execOne(ctx, t.tx, "store the active unit", domain.ErrUnitNotFound, `
		UPDATE memberships SET active_unit_id = $1
		WHERE id = $2 AND EXISTS (SELECT 1 FROM units WHERE id = $3 AND org_id = $4)`, unitID, memberID, unitID, orgID)
}

// usesInsert is the number of uses a statement. SQLite looks up each $1-style parameter among
// all before it, so that larger statements are slower.
const usesInsert = 16

// Uses implements [domain.TokenStore].
func (db *Store) Uses(ctx context.Context, userID, id string, page, limit int) (_ []domain.Use, total int, _ error) {
	var tokens int
	err := db.read.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM tokens WHERE id = $1 AND user_id = $2),
		       (SELECT count(*) FROM token_uses WHERE token_id = $3)`, id, userID, id).Scan(&tokens, &total)
	if err != nil {
		return nil, 0, fmt.Errorf("count the uses of a token: %w", err)
	}
	if tokens == 0 {
		return nil, 0, domain.ErrTokenNotFound
	}
	uses, err := collect(ctx, db.read, "read the uses of a token", func(rows *sql.Rows) (domain.Use, error) {
		u := domain.Use{TokenID: id}
		var at int64
		err := rows.Scan(&at, &u.RequestID, &u.Method, &u.Path, &u.Status)
		u.At = fromMicros(at)
		return u, err
	}, `
		SELECT at, request_id, method, path, status FROM token_uses
		WHERE token_id = $1 ORDER BY at DESC, request_id DESC LIMIT $2 OFFSET $3`, id, limit, (page-1)*limit)
	return uses, total, err
}

// StoreUses implements [usage.Store].
func (db *Store) StoreUses(ctx context.Context, uses []domain.Use, prune []string, keep int) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		for batch := range slices.Chunk(uses, usesInsert) {
			if err := insertUses(ctx, tx, batch); err != nil {
				return err
			}
		}
		for _, id := range prune {
			_, err := tx.ExecContext(ctx, `
				DELETE FROM token_uses WHERE token_id = $1 AND (at, request_id) <= (
					SELECT at, request_id FROM token_uses WHERE token_id = $2
					ORDER BY at DESC, request_id DESC LIMIT 1 OFFSET $3)`, id, id, keep)
			if err != nil {
				return fmt.Errorf("remove the oldest uses of a token: %w", err)
			}
		}
		return nil
	})
}

func insertUses(ctx context.Context, tx *sql.Tx, batch []domain.Use) error {
	var rows strings.Builder
	var values []any
	for _, use := range batch {
		if len(values) > 0 {
			rows.WriteString(", ")
		}
		for i, value := range []any{use.TokenID, toMicros(use.At), use.RequestID, use.Method, use.Path, use.Status} {
			values = append(values, value)
			rows.WriteString([]string{"($", ", $"}[min(i, 1)] + strconv.Itoa(len(values)))
		}
		rows.WriteString(")")
	}
	// After a commit in doubt, a batch comes a second time.
	_, err := tx.ExecContext(ctx, `INSERT INTO token_uses (token_id, at, request_id, method, path, status) VALUES `+rows.String()+` ON CONFLICT DO NOTHING`, values...) //nolint:gosec // it is made of placeholders alone
	if err != nil {
		return fmt.Errorf("store the uses of tokens: %w", err)
	}
	return nil
}

// RemoveUses implements [usage.Store].
func (db *Store) RemoveUses(ctx context.Context, before time.Time) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM token_uses WHERE at < $1`, toMicros(before))
		return err
	})
}

// StoreLastUse implements [usage.Store].
func (db *Store) StoreLastUse(ctx context.Context, tokenID string, at time.Time, interval time.Duration, rehash *domain.Rehash) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		// The condition keeps the time from going back, and other processes from writing the
		// same interval again.
		_, err := tx.ExecContext(ctx, `
			UPDATE tokens SET last_used_at = $1
			WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)`, toMicros(at), tokenID, toMicros(at.Add(-interval)))
		if err != nil {
			return fmt.Errorf("store the last use: %w", err)
		}
		if rehash == nil {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE tokens SET pepper_version = $1, digest = $2 WHERE id = $3 AND digest = $4`,
			rehash.Version, rehash.To, tokenID, rehash.From)
		if err != nil {
			return fmt.Errorf("move the token to the newest pepper: %w", err)
		}
		return nil
	})
}
