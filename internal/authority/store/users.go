package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// AddUser implements [domain.UserStore].
func (db *Store) AddUser(ctx context.Context, u domain.User) (domain.User, error) {
	err := db.change(ctx, func(tx *sql.Tx) error {
		err := execOne(ctx, tx, "store the user", domain.ErrUserExists, `
			INSERT INTO users (id, email, email_key, first_name, last_name, status, verified, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (email_key) DO NOTHING`,
			u.ID, u.Email, domain.LookupKey(u.Email), u.FirstName, u.LastName, u.Status, u.Verified, toMicros(u.CreatedAt))
		if err != nil {
			return err
		}
		u.OrgID, u.Organization, err = ensureOrganization(ctx, tx, u.Organization, u.CreatedAt)
		if err != nil {
			return err
		}
		return insertMembership(ctx, tx, u.MemberID, u.OrgID, u.ID, u.Role, u.CreatedAt)
	})
	if err != nil {
		return domain.User{}, err
	}
	return u, nil
}

const selectUsers = `
	SELECT u.id, u.email, u.first_name, u.last_name, u.status, u.verified, u.created_at,
	       COALESCE(m.role, ''), COALESCE(o.name, ''), COALESCE(o.id, ''), COALESCE(m.id, '')
	FROM users u
	LEFT JOIN memberships m ON m.user_id = u.id
	LEFT JOIN organizations o ON o.id = m.org_id`

// Users implements [domain.UserStore].
func (db *Store) Users(ctx context.Context) ([]domain.User, error) {
	return db.queryUsers(ctx, selectUsers+` ORDER BY u.email_key, m.created_at, m.id`)
}

// User implements [domain.UserStore].
func (db *Store) User(ctx context.Context, user string) ([]domain.User, error) {
	return db.queryUsers(ctx, selectUsers+` WHERE u.email_key = $1 OR u.id = $2 ORDER BY m.created_at, m.id`, domain.LookupKey(user), user)
}

func (db *Store) queryUsers(ctx context.Context, query string, args ...any) ([]domain.User, error) {
	return collect(ctx, db.read, "read the users", func(rows *sql.Rows) (u domain.User, err error) {
		var created int64
		err = rows.Scan(&u.ID, &u.Email, &u.FirstName, &u.LastName, &u.Status, &u.Verified, &created,
			&u.Role, &u.Organization, &u.OrgID, &u.MemberID)
		u.CreatedAt = fromMicros(created)
		return u, err
	}, query, args...)
}

// SetRole implements [domain.UserStore].
func (db *Store) SetRole(ctx context.Context, memberID string, role domain.Role) error {
	return db.changeOne(ctx, "change the user", domain.ErrNotMember, `UPDATE memberships SET role = $1 WHERE id = $2`, role, memberID)
}

// SetStatus implements [domain.UserStore].
func (db *Store) SetStatus(ctx context.Context, user string, status domain.UserStatus) error {
	return db.changeOne(ctx, "change the user", domain.ErrUnknownUser, `UPDATE users SET status = $1 WHERE email_key = $2 OR id = $3`,
		status, domain.LookupKey(user), user)
}

// AddMember implements [domain.UserStore].
func (db *Store) AddMember(ctx context.Context, user, organization string, role domain.Role, now time.Time) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		userID, err := findUserID(ctx, tx, user)
		if err != nil {
			return err
		}
		orgID, _, err := ensureOrganization(ctx, tx, organization, now)
		if err != nil {
			return err
		}
		if err := insertMembership(ctx, tx, domain.NewID("om_"), orgID, userID, role, now); err != nil {
			return err
		}
		return db.bumpEpoch(ctx, tx)
	})
}

// RemoveMember implements [domain.UserStore].
func (db *Store) RemoveMember(ctx context.Context, user, organization string) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		userID, err := findUserID(ctx, tx, user)
		if err != nil {
			return err
		}
		err = execOne(ctx, tx, "remove the member", domain.ErrNotMember, `
			DELETE FROM memberships WHERE user_id = $1
			AND org_id IN (SELECT id FROM organizations WHERE name_key = $2)`, userID, domain.LookupKey(organization))
		if err != nil {
			return err
		}
		return db.bumpEpoch(ctx, tx)
	})
}

func findUserID(ctx context.Context, tx *sql.Tx, user string) (string, error) {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE email_key = $1 OR id = $2`, domain.LookupKey(user), user).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", domain.ErrUnknownUser
	}
	if err != nil {
		return "", fmt.Errorf("find the user: %w", err)
	}
	return id, nil
}

// ensureOrganization returns an organization's id and name, and makes it with a unit if
// missing.
func ensureOrganization(ctx context.Context, tx *sql.Tx, name string, now time.Time) (id, storedName string, err error) {
	added, err := tx.ExecContext(ctx, `
		INSERT INTO organizations (id, name, name_key, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name_key) DO NOTHING`, domain.NewID("org_"), name, domain.LookupKey(name), toMicros(now))
	if err != nil {
		return "", "", fmt.Errorf("store the organization: %w", err)
	}
	n, err := added.RowsAffected()
	if err != nil {
		return "", "", fmt.Errorf("store the organization: %w", err)
	}
	err = tx.QueryRowContext(ctx, `SELECT id, name FROM organizations WHERE name_key = $1`, domain.LookupKey(name)).Scan(&id, &storedName)
	if err != nil {
		return "", "", fmt.Errorf("find the organization: %w", err)
	}
	if n == 1 {
		unit := domain.Unit{ID: domain.NewID("unit_"), OrgID: id, Name: "Default", Slug: "default", IsDefault: true}
		if err := insertUnit(ctx, tx, unit, now); err != nil && !errors.Is(err, domain.ErrUnitExists) {
			return "", "", err
		}
	}
	return id, storedName, nil
}

func insertMembership(ctx context.Context, tx *sql.Tx, id, orgID, userID string, role domain.Role, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO memberships (id, org_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role`, id, orgID, userID, role, toMicros(now))
	if err != nil {
		return fmt.Errorf("store the membership: %w", err)
	}
	return nil
}

// AddUnit implements [domain.UserStore].
func (db *Store) AddUnit(ctx context.Context, organization string, u domain.Unit, now time.Time) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT id FROM organizations WHERE name_key = $1`, domain.LookupKey(organization)).Scan(&u.OrgID)
		if errors.Is(err, sql.ErrNoRows) {
			return domain.ErrUnknownOrganization
		}
		if err != nil {
			return fmt.Errorf("find the organization: %w", err)
		}
		return insertUnit(ctx, tx, u, now)
	})
}

// insertUnit returns ErrUnitExists if the unit's slug is taken.
func insertUnit(ctx context.Context, tx *sql.Tx, u domain.Unit, now time.Time) error {
	return execOne(ctx, tx, "store the unit", domain.ErrUnitExists, `
		INSERT INTO units (id, org_id, name, slug, external_ref, is_default, created_at)
		VALUES ($1, $2, $3, $4, NULL, $5, $6) ON CONFLICT (org_id, slug) DO NOTHING`,
		u.ID, u.OrgID, u.Name, u.Slug, u.IsDefault, toMicros(now))
}

// Units implements [domain.UserStore].
func (db *Store) Units(ctx context.Context, orgID string) ([]domain.Unit, error) {
	return collect(ctx, db.read, "read the units", func(rows *sql.Rows) (u domain.Unit, err error) {
		return u, rows.Scan(&u.ID, &u.OrgID, &u.Name, &u.Slug, &u.ExternalRef, &u.IsDefault)
	}, `
		SELECT id, org_id, name, slug, external_ref, is_default FROM units
		WHERE org_id = $1 ORDER BY is_default DESC, slug`, orgID)
}

// ActiveUnit implements [domain.UserStore].
func (db *Store) ActiveUnit(ctx context.Context, memberID string) (*string, error) {
	var id sql.NullString
	err := db.read.QueryRowContext(ctx, `
		SELECT COALESCE(m.active_unit_id, u.id) FROM memberships m
		LEFT JOIN units u ON u.org_id = m.org_id AND u.is_default
		WHERE m.id = $1`, memberID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !id.Valid {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the active unit: %w", err)
	}
	return &id.String, nil
}
