package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

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
