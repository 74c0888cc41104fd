package domain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// Permission is a right to read or to write one kind of thing, such as write:scoring.
type Permission string

// The permissions.
const (
	ReadTokens    Permission = "read:tokens"
	WriteTokens   Permission = "write:tokens"
	ReadLeads     Permission = "read:leads"
	WriteLeads    Permission = "write:leads"
	ReadEvents    Permission = "read:events"
	WriteEvents   Permission = "write:events"
	ReadAccounts  Permission = "read:accounts"
	WriteAccounts Permission = "write:accounts"
	ReadScoring   Permission = "read:scoring"
	WriteScoring  Permission = "write:scoring"
	ReadTriggers  Permission = "read:triggers"
	WriteTriggers Permission = "write:triggers"
	ReadUnits     Permission = "read:org-units"
	WriteUnits    Permission = "write:org-units"
)

// KnownPermissions is every permission that there is, sorted.
var KnownPermissions = NewPermissionSet(
	ReadTokens, WriteTokens, ReadLeads, WriteLeads, ReadEvents, WriteEvents, ReadAccounts, WriteAccounts,
	ReadScoring, WriteScoring, ReadTriggers, WriteTriggers, ReadUnits, WriteUnits,
)

// PermissionSet is sorted and without duplicates. For a token, nil means not narrowed, and
// an empty set means no permission.
type PermissionSet []Permission

// NewPermissionSet returns the set of permissions.
func NewPermissionSet(permissions ...Permission) PermissionSet {
	set := append(PermissionSet{}, permissions...)
	slices.Sort(set)
	return slices.Compact(set)
}

// ParsePermissions reads the permissions of a narrowed token. It refuses an empty choice,
// which must not be taken for all permissions.
func ParsePermissions(names []string) (PermissionSet, error) {
	set := make(PermissionSet, 0, len(names))
	for _, name := range names {
		p := Permission(name)
		switch {
		case !KnownPermissions.Contains(p):
			return nil, &InvalidError{Field: "permissions", Problem: fmt.Sprintf("does not include %s: the permissions are %s", plaintext.QuoteShort(name), strings.Join(KnownPermissions.Names(), ", "))}
		case slices.Contains(set, p):
			return nil, &InvalidError{Field: "permissions", Problem: fmt.Sprintf("holds %s twice: name it once", p)}
		}
		set = append(set, p)
	}
	if len(set) == 0 {
		return nil, &InvalidError{Field: "permissions", Problem: "must name at least one permission; leave the field out for a token that is not narrowed"}
	}
	return NewPermissionSet(set...), nil
}

// StoredPermissions reads what [PermissionSet.String] wrote, with unknown permissions.
func StoredPermissions(stored string) PermissionSet {
	return PermissionsNamed(strings.Fields(stored))
}

// PermissionsNamed is the set of permissions with these names, known or not.
func PermissionsNamed(names []string) PermissionSet {
	set := PermissionSet{}
	for _, name := range names {
		set = append(set, Permission(name))
	}
	return NewPermissionSet(set...)
}

// String is the form in which a set is stored: sorted, with a space between.
func (s PermissionSet) String() string { return strings.Join(s.Names(), " ") }

// Names returns the names of the permissions, sorted.
func (s PermissionSet) Names() []string {
	names := make([]string, len(s))
	for i, p := range s {
		names[i] = string(p)
	}
	return names
}

// Contains reports whether p is in s.
func (s PermissionSet) Contains(p Permission) bool {
	_, found := slices.BinarySearch(s, p)
	return found
}

// Within reports whether every permission of s is in other.
func (s PermissionSet) Within(other PermissionSet) bool {
	_, outside := s.FirstOutside(other)
	return !outside
}

// FirstOutside returns the first permission of s that other does not hold.
func (s PermissionSet) FirstOutside(other PermissionSet) (Permission, bool) {
	for _, p := range s {
		if !other.Contains(p) {
			return p, true
		}
	}
	return "", false
}

// Intersect returns what is in both sets.
func (s PermissionSet) Intersect(other PermissionSet) PermissionSet {
	both := PermissionSet{}
	for _, p := range s {
		if other.Contains(p) {
			both = append(both, p)
		}
	}
	return both
}

// Role is what a member may do in an organization.
type Role string

// The roles, from the most to the least powerful.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleViewer Role = "viewer"
)

// rolePermissions are the permissions of each role. Owners and admins hold the same, because
// this API has nothing that is reserved for owners.
var rolePermissions = map[Role]PermissionSet{
	RoleOwner: KnownPermissions,
	RoleAdmin: KnownPermissions,
	RoleMember: NewPermissionSet(
		ReadTokens, WriteTokens, ReadUnits, WriteUnits,
		ReadLeads, WriteLeads, ReadEvents, WriteEvents, ReadAccounts, WriteAccounts, ReadScoring, ReadTriggers,
	),
	RoleViewer: NewPermissionSet(
		ReadTokens, WriteTokens, ReadUnits, WriteUnits,
		ReadLeads, ReadEvents, ReadAccounts, ReadScoring, ReadTriggers,
	),
}

// Roles returns all roles, the most powerful first.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleMember, RoleViewer} }

// Permissions returns every permission that a role can hold, sorted.
func Permissions() []string { return KnownPermissions.Names() }

// ParseRole returns the role of that name, or an error that lists the names.
func ParseRole(name string) (Role, error) {
	if role := Role(name); slices.Contains(Roles(), role) {
		return role, nil
	}
	names := make([]string, 0, len(Roles()))
	for _, role := range Roles() {
		names = append(names, string(role))
	}
	return "", &InvalidError{Field: "role", Problem: fmt.Sprintf("must be one of %s", strings.Join(names, ", "))}
}

// Permissions returns what the role holds, sorted; nothing for an unknown role.
func (r Role) Permissions() []string { return rolePermissions[r].Names() }

// PermissionSet returns what the role holds.
func (r Role) PermissionSet() PermissionSet { return rolePermissions[r] }
