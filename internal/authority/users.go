package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// DefaultOrganization is the name of the organization that a user is put in
// when none is named. It is made with the first of them.
const DefaultOrganization = "Default"

// UserStatus tells whether a user's credentials work.
type UserStatus string

// The statuses of a user.
const (
	StatusActive    UserStatus = "active"
	StatusSuspended UserStatus = "suspended"
)

// User is a user as a member of one organization; somebody who is in several
// is several of them, with the same ID. Without any, Role, Organization, OrgID
// and MemberID are empty.
type User struct {
	ID           string     `json:"id"`
	Email        string     `json:"email"`
	FirstName    string     `json:"first_name"`
	LastName     string     `json:"last_name"`
	Status       UserStatus `json:"status"`
	Verified     bool       `json:"verified"`
	Role         Role       `json:"role"`
	Organization string     `json:"organization"`
	OrgID        string     `json:"org_id"`
	MemberID     string     `json:"org_member_id"`
	CreatedAt    time.Time  `json:"created_at"`
}

// NewUser is what [Authority.AddUser] needs to know. Only Email is required.
type NewUser struct {
	Email     string
	FirstName string // at most 100 characters
	LastName  string // at most 100 characters

	// Role is what the user may do; empty means [RoleMember].
	Role Role

	// Organization is the name of the one that the user becomes a member of,
	// compared without regard to case. It is made, with one Organizational
	// Unit, when it is missing. Empty means [DefaultOrganization].
	Organization string
}

// AddUser adds an active user. The operator vouches for the address, which
// counts as verified. It returns [ErrUserExists] if the address is taken,
// compared without regard to case, and an [*InvalidError] if a value is not
// allowed.
func (a *Authority) AddUser(ctx context.Context, n NewUser) (User, error) {
	if n.Role == "" {
		n.Role = RoleMember
	}
	if n.Organization == "" {
		n.Organization = DefaultOrganization
	}
	if err := n.validate(); err != nil {
		return User{}, err
	}
	user := User{
		ID: newID("user_"), Email: n.Email, FirstName: n.FirstName, LastName: n.LastName,
		Status: StatusActive, Verified: true, Role: n.Role, MemberID: newID("om_"), CreatedAt: a.now(),
	}
	err := a.db.change(ctx, func(tx *sql.Tx) error {
		added, err := tx.ExecContext(ctx, `
			INSERT INTO users (id, email, email_key, first_name, last_name, status, verified, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (email_key) DO NOTHING`,
			user.ID, user.Email, lookupKey(user.Email), user.FirstName, user.LastName, user.Status, user.Verified, toMicros(user.CreatedAt))
		if err != nil {
			return fmt.Errorf("store the user: %w", err)
		}
		if n, err := added.RowsAffected(); err != nil {
			return fmt.Errorf("store the user: %w", err)
		} else if n == 0 {
			return ErrUserExists
		}
		user.OrgID, user.Organization, err = ensureOrganization(ctx, tx, n.Organization, user.CreatedAt)
		if err != nil {
			return err
		}
		return insertMembership(ctx, tx, user.MemberID, user.OrgID, user.ID, user.Role, user.CreatedAt)
	})
	if err != nil {
		return User{}, err
	}
	return user, nil
}

func (n NewUser) validate() error {
	address, err := mail.ParseAddress(n.Email)
	if err != nil || address.Address != n.Email || len(n.Email) > 254 || !plaintext.Visible(n.Email) {
		return &InvalidError{Field: "email", Problem: "must be an address such as ada@example.com, of at most 254 bytes"}
	}
	if _, err := ParseRole(string(n.Role)); err != nil {
		return err
	}
	for field, value := range map[string]string{"first name": n.FirstName, "last name": n.LastName} {
		if utf8.RuneCountInString(value) > maxNameCharacters {
			return &InvalidError{Field: field, Problem: fmt.Sprintf("must be at most %d characters of plain text", maxNameCharacters)}
		}
		if err := validateSeen(field, value); err != nil {
			return err
		}
	}
	return validateOrganization(n.Organization)
}

func validateOrganization(name string) error {
	if lookupKey(name) == "" || utf8.RuneCountInString(name) > maxNameCharacters {
		return &InvalidError{Field: "organization", Problem: fmt.Sprintf("must be named in 1 to %d characters of plain text", maxNameCharacters)}
	}
	return validateSeen("organization", name)
}

// lookupKey is the form in which addresses and names are compared.
func lookupKey(s string) string { return norm.NFC.String(strings.ToLower(strings.TrimSpace(s))) }

const selectUsers = `
	SELECT u.id, u.email, u.first_name, u.last_name, u.status, u.verified, u.created_at,
	       COALESCE(m.role, ''), COALESCE(o.name, ''), COALESCE(o.id, ''), COALESCE(m.id, '')
	FROM users u
	LEFT JOIN memberships m ON m.user_id = u.id
	LEFT JOIN organizations o ON o.id = m.org_id`

// Users returns all users, one entry for each membership, by address.
func (a *Authority) Users(ctx context.Context) ([]User, error) {
	return a.queryUsers(ctx, selectUsers+` ORDER BY u.email_key, m.created_at, m.id`)
}

func (a *Authority) queryUsers(ctx context.Context, query string, args ...any) (_ []User, err error) {
	rows, err := a.db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the users: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	users := []User{}
	for rows.Next() {
		var u User
		var created int64
		if err := rows.Scan(&u.ID, &u.Email, &u.FirstName, &u.LastName, &u.Status, &u.Verified, &created,
			&u.Role, &u.Organization, &u.OrgID, &u.MemberID); err != nil {
			return nil, fmt.Errorf("read the users: %w", err)
		}
		u.CreatedAt = fromMicros(created)
		users = append(users, u)
	}
	return users, rows.Err()
}

// soleMembership finds a user by address or id, in the one organization that
// he is in.
func (a *Authority) soleMembership(ctx context.Context, user string) (User, error) {
	return a.membership(ctx, user, "")
}

// membership finds a user by address or id, as a member of the organization of
// that name. Without a name it is the one that he is in.
func (a *Authority) membership(ctx context.Context, user, organization string) (User, error) {
	found, err := a.queryUsers(ctx, selectUsers+` WHERE u.email_key = $1 OR u.id = $2 ORDER BY m.created_at, m.id`, lookupKey(user), user)
	if err != nil {
		return User{}, err
	}
	if len(found) == 0 {
		return User{}, ErrUnknownUser
	}
	if organization != "" {
		found = slices.DeleteFunc(found, func(u User) bool { return lookupKey(u.Organization) != lookupKey(organization) })
	}
	switch {
	case len(found) > 1:
		return User{}, ErrSeveralOrganizations
	case len(found) == 0 || found[0].OrgID == "":
		return User{}, ErrNotMember
	}
	return found[0], nil
}

// SetRole changes what the user, named by address or id, may do in the one
// organization that he is in. It counts from the next request on, for all of
// his tokens.
func (a *Authority) SetRole(ctx context.Context, user string, role Role) error {
	return a.SetRoleIn(ctx, user, "", role)
}

// SetRoleIn is [Authority.SetRole] for somebody who is in several
// organizations, of which one is named.
func (a *Authority) SetRoleIn(ctx context.Context, user, organization string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	member, err := a.membership(ctx, user, organization)
	if err != nil {
		return err
	}
	return a.changeOne(ctx, ErrNotMember, `UPDATE memberships SET role = $1 WHERE id = $2`, role, member.MemberID)
}

// Suspend stops all tokens and sessions of the user, named by address or id,
// from the next request on. They are kept and work again after
// [Authority.Restore].
func (a *Authority) Suspend(ctx context.Context, user string) error {
	return a.setStatus(ctx, user, StatusSuspended)
}

// Restore ends a suspension.
func (a *Authority) Restore(ctx context.Context, user string) error {
	return a.setStatus(ctx, user, StatusActive)
}

func (a *Authority) setStatus(ctx context.Context, user string, status UserStatus) error {
	return a.changeOne(ctx, ErrUnknownUser, `UPDATE users SET status = $1 WHERE email_key = $2 OR id = $3`, status, lookupKey(user), user)
}

// changeOne runs a statement that changes who may do what, in one row, and
// returns absent if there was none.
func (a *Authority) changeOne(ctx context.Context, absent error, statement string, args ...any) error {
	return a.db.change(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return fmt.Errorf("change the user: %w", err)
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("change the user: %w", err)
		}
		if changed == 0 {
			return absent
		}
		return a.bumpEpoch(ctx, tx)
	})
}
