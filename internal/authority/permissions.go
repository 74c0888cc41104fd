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

// Roles returns all roles, the most powerful first.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleMember, RoleViewer} }

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

type permission string

const (
	readTokens  permission = "read:tokens"
	writeTokens permission = "write:tokens"
)

// permissionsByRole is the one place that says who may do what. Everybody
// looks after his own tokens, whatever his role.
var permissionsByRole = map[Role][]permission{
	RoleOwner: {
		readTokens, writeTokens, "read:org", "write:org", "read:members", "write:members",
		"read:leads", "write:leads", "read:accounts", "write:accounts", "read:events", "write:events",
		"read:scoring", "write:scoring", "read:triggers", "write:triggers", "write:billing",
	},
	RoleAdmin: {
		readTokens, writeTokens, "read:org", "write:org", "read:members", "write:members",
		"read:leads", "write:leads", "read:accounts", "write:accounts", "read:events", "write:events",
		"read:scoring", "write:scoring", "read:triggers", "write:triggers",
	},
	RoleMember: {
		readTokens, writeTokens, "read:org", "read:members",
		"read:leads", "write:leads", "read:accounts", "write:accounts", "read:events", "write:events",
		"read:scoring", "read:triggers",
	},
	RoleViewer: {
		readTokens, writeTokens, "read:org",
		"read:leads", "read:accounts", "read:events", "read:scoring", "read:triggers",
	},
}

func (r Role) holds(p permission) bool { return slices.Contains(permissionsByRole[r], p) }
