package domain

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// DefaultOrganization is the name of the organization of users without a named one.
const DefaultOrganization = "Default"

// UserStatus says whether a user's credentials work.
type UserStatus string

// The statuses of a user.
const (
	StatusActive    UserStatus = "active"
	StatusSuspended UserStatus = "suspended"
)

// User is a user as a member of one organization: a user in several is several values with
// the same ID. Without any, Role, Organization, OrgID and MemberID are empty.
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

// NewUser is what [Directory.AddUser] needs to know. Only Email is required.
type NewUser struct {
	Email     string
	FirstName string // at most 100 characters
	LastName  string // at most 100 characters

	// Role is what the user may do; empty means [RoleMember].
	Role Role

	// Organization is the name of the organization that the user joins, in any case. It is
	// made, with one unit, if it is missing. Empty means [DefaultOrganization].
	Organization string
}

// Unit is an Organizational Unit.
type Unit struct {
	ID          string
	OrgID       string
	Name        string
	Slug        string
	ExternalRef *string
	IsDefault   bool
}

// UserStore keeps users, organizations and units.
type UserStore interface {
	// AddUser stores a user as a member of the named organization, which it makes if
	// missing. It fills in OrgID and Organization.
	AddUser(ctx context.Context, u User) (User, error)
	// Users returns one entry for each membership of all users, User those of one user,
	// named by address or id.
	Users(ctx context.Context) ([]User, error)
	User(ctx context.Context, user string) ([]User, error)
	SetRole(ctx context.Context, memberID string, role Role) error
	SetStatus(ctx context.Context, user string, status UserStatus) error
	AddMember(ctx context.Context, user, organization string, role Role, now time.Time) error
	RemoveMember(ctx context.Context, user, organization string) error
	AddUnit(ctx context.Context, organization string, u Unit, now time.Time) error
	// Units returns those of an organization, the default one first.
	Units(ctx context.Context, orgID string) ([]Unit, error)
	// ActiveUnit returns the id of the unit that a member works in, or nil.
	ActiveUnit(ctx context.Context, memberID string) (*string, error)
	Change(ctx context.Context, do func(tx Tx) error) error
}

// Directory manages users, their organizations and units.
type Directory struct {
	Store UserStore
	Now   func() time.Time
}

// AddUser adds an active user, whose address counts as verified. The error is
// [ErrUserExists] if the address is taken, in any case, or an [*InvalidError].
func (s *Directory) AddUser(ctx context.Context, n NewUser) (User, error) {
	if n.Role == "" {
		n.Role = RoleMember
	}
	if n.Organization == "" {
		n.Organization = DefaultOrganization
	}
	if err := n.validate(); err != nil {
		return User{}, err
	}
	return s.Store.AddUser(ctx, User{
		ID: NewID("user_"), Email: n.Email, FirstName: n.FirstName, LastName: n.LastName, Status: StatusActive, Verified: true,
		Role: n.Role, Organization: n.Organization, MemberID: NewID("om_"), CreatedAt: s.Now(),
	})
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
	if LookupKey(name) == "" || utf8.RuneCountInString(name) > maxNameCharacters {
		return &InvalidError{Field: "organization", Problem: fmt.Sprintf("must be named in 1 to %d characters of plain text", maxNameCharacters)}
	}
	return validateSeen("organization", name)
}

// LookupKey returns the form in which addresses and names are compared.
func LookupKey(s string) string { return norm.NFC.String(strings.ToLower(strings.TrimSpace(s))) }

// Users returns all users, one entry for each membership, by address.
func (s *Directory) Users(ctx context.Context) ([]User, error) { return s.Store.Users(ctx) }

// Member finds a user by address or id, as a member of the named organization or, without a
// name, of their only one.
func (s *Directory) Member(ctx context.Context, user, organization string) (User, error) {
	found, err := s.Store.User(ctx, user)
	if err != nil {
		return User{}, err
	}
	if len(found) == 0 {
		return User{}, ErrUnknownUser
	}
	if organization != "" {
		found = slices.DeleteFunc(found, func(u User) bool { return LookupKey(u.Organization) != LookupKey(organization) })
	}
	switch {
	case len(found) > 1:
		return User{}, ErrSeveralOrganizations
	case len(found) == 0 || found[0].OrgID == "":
		return User{}, ErrNotMember
	}
	return found[0], nil
}

// SetRole changes the role of a user with one organization, named by address or id, from the
// next request on.
func (s *Directory) SetRole(ctx context.Context, user string, role Role) error {
	return s.SetRoleIn(ctx, user, "", role)
}

// SetRoleIn is [Directory.SetRole] in one of several organizations.
func (s *Directory) SetRoleIn(ctx context.Context, user, organization string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	member, err := s.Member(ctx, user, organization)
	if err != nil {
		return err
	}
	return s.Store.SetRole(ctx, member.MemberID, role)
}

// Suspend stops all tokens and sessions of the user, named by address or id, from the next
// request on, until [Directory.Restore].
func (s *Directory) Suspend(ctx context.Context, user string) error {
	return s.Store.SetStatus(ctx, user, StatusSuspended)
}

// Restore ends a suspension.
func (s *Directory) Restore(ctx context.Context, user string) error {
	return s.Store.SetStatus(ctx, user, StatusActive)
}

// AddMember makes a user, named by address or id, a member of a further organization, which
// is made if missing. It changes the role of an existing member. Tokens stay bound to the
// organization they were made in.
func (s *Directory) AddMember(ctx context.Context, user, organization string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	if err := validateOrganization(organization); err != nil {
		return err
	}
	return s.Store.AddMember(ctx, user, organization, role, s.Now())
}

// RemoveMember ends a user's membership in an organization. Tokens and sessions bound to it
// stop until the user is a member again.
func (s *Directory) RemoveMember(ctx context.Context, user, organization string) error {
	return s.Store.RemoveMember(ctx, user, organization)
}

// AddUnit adds an Organizational Unit to an organization, named in any case, and returns its
// id. Units' names are compared by letters and digits. The error is [ErrUnitExists] or
// [ErrUnknownOrganization].
func (s *Directory) AddUnit(ctx context.Context, organization, name string) (string, error) {
	slug := unitSlug(name)
	if slug == "" || utf8.RuneCountInString(name) > maxNameCharacters {
		return "", &InvalidError{Field: "unit", Problem: fmt.Sprintf("must be named in plain text of at most %d characters, with a letter or digit", maxNameCharacters)}
	}
	if err := validateSeen("unit", name); err != nil {
		return "", err
	}
	id := NewID("unit_")
	if err := s.Store.AddUnit(ctx, organization, Unit{ID: id, Name: name, Slug: slug}, s.Now()); err != nil {
		return "", err
	}
	return id, nil
}

// unitSlug returns a unit's name as part of an address. Marks belong to words in Indic
// scripts.
func unitSlug(name string) string {
	words := strings.FieldsFunc(norm.NFC.String(strings.ToLower(name)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	return strings.Join(words, "-")
}

// Units returns those of an organization, the default one first.
func (s *Directory) Units(ctx context.Context, orgID string) ([]Unit, error) {
	return s.Store.Units(ctx, orgID)
}

// ActiveUnit returns the id of the unit that a member works in, chosen or default, or nil.
func (s *Directory) ActiveUnit(ctx context.Context, memberID string) (*string, error) {
	return s.Store.ActiveUnit(ctx, memberID)
}

// SetActiveUnit chooses the unit that the caller works in. The error is [ErrUnitNotFound]
// outside of their organization, and a [*Refusal] for a credential that is not accepted any
// more.
func (s *Directory) SetActiveUnit(ctx context.Context, as Identity, unitID string) error {
	if !CouldBeID(unitID) {
		return ErrUnitNotFound
	}
	return s.Store.Change(ctx, func(tx Tx) error {
		as, err := confirm(ctx, tx, as, WriteUnits, s.Now())
		if err != nil {
			return err
		}
		return tx.SetActiveUnit(ctx, as.MemberID, as.OrgID, unitID)
	})
}
