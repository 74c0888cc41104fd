package tokens

import (
	"context"
	"github.com/kenbun/kenbun-mcp/tools"
	"slices"
	"strings"
)

// allPermissions is how a tool is told, in the place of names, that a token may
// do all that its user's role holds.
const allPermissions = "all"

// permissionsWanted are what a call wants a token to be narrowed to.
type permissionsWanted struct {
	given bool
	all   bool
	names []string // sorted, each once; nil for all
}

// wantedPermissions reads the argument "permissions".
func (c *call) wantedPermissions() (permissionsWanted, error) {
	names := slices.Clone(c.Args.List("permissions"))
	if names == nil {
		return permissionsWanted{}, nil
	}
	if slices.Contains(names, allPermissions) {
		if len(names) > 1 {
			return permissionsWanted{}, tools.InvalidArgument(`"permissions" holds %q beside others`, allPermissions).
				Advise("Give [%q] alone, or the names without it.", allPermissions)
		}
		return permissionsWanted{given: true, all: true}, nil
	}
	for _, name := range names {
		if !isPermission(name) {
			return permissionsWanted{}, tools.InvalidArgument(`"permissions" cannot hold %q`, tools.Shown(name, 40)).
				Advise(`A permission is a word such as "read:leads", in lower case; give each as an entry of its own.`)
		}
	}
	slices.Sort(names)
	return permissionsWanted{given: true, names: slices.Compact(names)}, nil
}

// isPermission reports whether name has the form of a permission. Which there
// are, only the API knows.
func isPermission(name string) bool {
	for _, r := range name {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && !strings.ContainsRune("_-:.", r) {
			return false
		}
	}
	return name != "" && len(name) <= tools.MaxPermissionLength
}

// grantable refuses names that the caller cannot give a token, where the API
// tells which it can. Else the API's own answer counts.
func (c *call) grantable(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	known, err := c.Caller.API.GrantablePermissions(ctx)
	if err != nil {
		c.Log.Debug("the API does not tell which permissions there are", "cause", err)
		return nil
	}
	if known == nil {
		return nil
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return tools.InvalidArgument(`"permissions" cannot hold %q: this user's token does not have it, or there is no such permission`, name).
				Advise("Use some of: %s.", tools.PermissionWords(tools.ShownPermissions(known, tools.MaxPermissions)))
		}
	}
	return nil
}

// narrowing is permissions in a form that tells any two different ones apart.
func narrowing(names []string) string {
	if names == nil {
		return allPermissions
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return strings.Join(sorted, " ")
}

// widens reports whether permissions to hold something that from does not.
func widens(from, to []string) bool {
	if from == nil || to == nil {
		return from != nil
	}
	return slices.ContainsFunc(to, func(name string) bool { return !slices.Contains(from, name) })
}
