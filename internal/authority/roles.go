package authority

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what a member may do in an organization.
type Role string

// The roles, from the most to the least powerful.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleViewer Role = "viewer"
)

// rolePermissions is the one place that says who may do what. Everybody looks
// after his own tokens and chooses the unit that he works in, whatever his
// role. Owners and admins hold the same, because what sets an owner apart at
// kenbun is no part of this API.
var rolePermissions = map[Role]permissionSet{
	RoleOwner: knownPermissions,
	RoleAdmin: knownPermissions,
	RoleMember: newPermissionSet(
		readTokens, writeTokens, readUnits, writeUnits,
		readLeads, writeLeads, readEvents, writeEvents, readAccounts, writeAccounts, readScoring, readTriggers,
	),
	RoleViewer: newPermissionSet(
		readTokens, writeTokens, readUnits, writeUnits,
		readLeads, readEvents, readAccounts, readScoring, readTriggers,
	),
}

// Roles returns all roles, the most powerful first.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleMember, RoleViewer} }

// Permissions returns every permission that a role can hold, such as
// write:scoring, sorted.
func Permissions() []string { return knownPermissions.names() }

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

// Permissions returns what the role holds, sorted. A name that is no role holds
// nothing.
func (r Role) Permissions() []string { return rolePermissions[r].names() }
