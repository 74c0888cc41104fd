package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// unit is an Organizational Unit.
type unit struct {
	id          string
	orgID       string
	name        string
	slug        string
	externalRef *string
	isDefault   bool
}

// AddUnit adds an Organizational Unit to an organization, named without regard
// to case, and returns its id. Names are compared by the letters and digits in
// them: it returns [ErrUnitExists] if there is one that differs in nothing
// else, and [ErrUnknownOrganization].
func (a *Authority) AddUnit(ctx context.Context, organization, name string) (string, error) {
	slug := unitSlug(name)
	if slug == "" || utf8.RuneCountInString(name) > maxNameCharacters {
		return "", &InvalidError{Field: "unit", Problem: fmt.Sprintf("must be named in plain text of at most %d characters, with a letter or digit", maxNameCharacters)}
	}
	if err := validateSeen("unit", name); err != nil {
		return "", err
	}
	id := newID("unit_")
	err := a.db.change(ctx, func(tx *sql.Tx) error {
		var orgID string
		err := tx.QueryRowContext(ctx, `SELECT id FROM organizations WHERE name_key = $1`, lookupKey(organization)).Scan(&orgID)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknownOrganization
		}
		if err != nil {
			return fmt.Errorf("find the organization: %w", err)
		}
		added, err := insertUnit(ctx, tx, unit{id: id, orgID: orgID, name: name, slug: slug}, a.now())
		if err == nil && !added {
			return ErrUnitExists
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// unitSlug is a unit's name as it can stand in an address. The vowel signs and
// viramas of Indic scripts are marks, and belong to the words.
func unitSlug(name string) string {
	words := strings.FieldsFunc(norm.NFC.String(strings.ToLower(name)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	return strings.Join(words, "-")
}

// insertUnit tells whether there was room for the unit's slug.
func insertUnit(ctx context.Context, tx *sql.Tx, u unit, now time.Time) (bool, error) {
	result, err := tx.ExecContext(ctx, `
		INSERT INTO units (id, org_id, name, slug, external_ref, is_default, created_at)
		VALUES ($1, $2, $3, $4, NULL, $5, $6) ON CONFLICT (org_id, slug) DO NOTHING`,
		u.id, u.orgID, u.name, u.slug, u.isDefault, toMicros(now))
	if err != nil {
		return false, fmt.Errorf("store the unit: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("store the unit: %w", err)
	}
	return n == 1, nil
}

// units returns those of an organization, the default one first.
func (a *Authority) units(ctx context.Context, orgID string) (_ []unit, err error) {
	rows, err := a.db.read.QueryContext(ctx, `
		SELECT id, org_id, name, slug, external_ref, is_default FROM units
		WHERE org_id = $1 ORDER BY is_default DESC, slug`, orgID)
	if err != nil {
		return nil, fmt.Errorf("read the units: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var units []unit
	for rows.Next() {
		var u unit
		if err := rows.Scan(&u.id, &u.orgID, &u.name, &u.slug, &u.externalRef, &u.isDefault); err != nil {
			return nil, fmt.Errorf("read the units: %w", err)
		}
		units = append(units, u)
	}
	return units, rows.Err()
}

// activeUnit returns the id of the unit that a member works in: the one that he
// chose, or the default one. It is nil if there is none.
func (a *Authority) activeUnit(ctx context.Context, memberID string) (*string, error) {
	var id sql.NullString
	err := a.db.read.QueryRowContext(ctx, `
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

// setActiveUnit keeps in which unit the caller works. It returns errUnitNotFound
// for everything that is no unit of his organization, and a *refusal if his
// credential has ended.
func (a *Authority) setActiveUnit(ctx context.Context, as identity, unitID string) error {
	if !couldBeID(unitID) {
		return errUnitNotFound
	}
	return a.db.change(ctx, func(tx *sql.Tx) error {
		as, err := a.confirm(ctx, tx, as, writeUnits)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			UPDATE memberships SET active_unit_id = $1
			WHERE id = $2 AND EXISTS (SELECT 1 FROM units WHERE id = $3 AND org_id = $4)`,
			unitID, as.memberID, unitID, as.orgID)
		if err != nil {
			return fmt.Errorf("store the active unit: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("store the active unit: %w", err)
		} else if n == 0 {
			return errUnitNotFound
		}
		return nil
	})
}
