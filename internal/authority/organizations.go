package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// AddMember makes a user, named by address or id, a member of a further
// organization, which is made when it is missing. It changes the role if he is
// one already. Tokens made elsewhere stay bound to where they were made.
func (a *Authority) AddMember(ctx context.Context, user, organization string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	now := a.now()
	return a.db.change(ctx, func(tx *sql.Tx) error {
		userID, err := findUserID(ctx, tx, user)
		if err != nil {
			return err
		}
		orgID, _, err := ensureOrganization(ctx, tx, organization, now)
		if err != nil {
			return err
		}
		if err := insertMembership(ctx, tx, newID("om_"), orgID, userID, role, now); err != nil {
			return err
		}
		return bumpEpoch(ctx, tx)
	})
}

// RemoveMember ends a user's membership in an organization. All tokens and
// sessions that are bound to it stop with the next request, for as long as he
// is not a member again.
func (a *Authority) RemoveMember(ctx context.Context, user, organization string) error {
	return a.db.change(ctx, func(tx *sql.Tx) error {
		userID, err := findUserID(ctx, tx, user)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			DELETE FROM memberships WHERE user_id = $1
			AND org_id IN (SELECT id FROM organizations WHERE name_key = $2)`, userID, lookupKey(organization))
		if err != nil {
			return fmt.Errorf("remove the member: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("remove the member: %w", err)
		} else if n == 0 {
			return ErrNotMember
		}
		return bumpEpoch(ctx, tx)
	})
}

func findUserID(ctx context.Context, tx *sql.Tx, user string) (string, error) {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE email_key = $1 OR id = $2`, lookupKey(user), user).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrUnknownUser
	}
	if err != nil {
		return "", fmt.Errorf("find the user: %w", err)
	}
	return id, nil
}

// ensureOrganization returns the id and the name of an organization, and makes
// it with its first unit when it is missing.
func ensureOrganization(ctx context.Context, tx *sql.Tx, name string, now time.Time) (id, storedName string, err error) {
	added, err := tx.ExecContext(ctx, `
		INSERT INTO organizations (id, name, name_key, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name_key) DO NOTHING`, newID("org_"), name, lookupKey(name), toMicros(now))
	if err != nil {
		return "", "", fmt.Errorf("store the organization: %w", err)
	}
	n, err := added.RowsAffected()
	if err != nil {
		return "", "", fmt.Errorf("store the organization: %w", err)
	}
	err = tx.QueryRowContext(ctx, `SELECT id, name FROM organizations WHERE name_key = $1`, lookupKey(name)).Scan(&id, &storedName)
	if err != nil {
		return "", "", fmt.Errorf("find the organization: %w", err)
	}
	if n == 1 {
		_, err = insertUnit(ctx, tx, unit{id: newID("unit_"), orgID: id, name: "Default", slug: "default", isDefault: true}, now)
		if err != nil {
			return "", "", err
		}
	}
	return id, storedName, nil
}

func insertMembership(ctx context.Context, tx *sql.Tx, id, orgID, userID string, role Role, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO memberships (id, org_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role`, id, orgID, userID, role, toMicros(now))
	if err != nil {
		return fmt.Errorf("store the membership: %w", err)
	}
	return nil
}
