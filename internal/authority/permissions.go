package authority

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// permission is a right to read or to write one kind of thing, in the style of
// the kenbun API: write:scoring.
type permission string

const (
	readTokens    permission = "read:tokens"
	writeTokens   permission = "write:tokens"
	readLeads     permission = "read:leads"
	writeLeads    permission = "write:leads"
	readEvents    permission = "read:events"
	writeEvents   permission = "write:events"
	readAccounts  permission = "read:accounts"
	writeAccounts permission = "write:accounts"
	readScoring   permission = "read:scoring"
	writeScoring  permission = "write:scoring"
	readTriggers  permission = "read:triggers"
	writeTriggers permission = "write:triggers"
	readUnits     permission = "read:org-units"
	writeUnits    permission = "write:org-units"
)

// knownPermissions is every permission that there is, sorted.
var knownPermissions = newPermissionSet(
	readTokens, writeTokens, readLeads, writeLeads, readEvents, writeEvents, readAccounts, writeAccounts,
	readScoring, writeScoring, readTriggers, writeTriggers, readUnits, writeUnits,
)

// permissionSet is sorted and holds nothing twice. Where a token is narrowed to
// a set, nil means that it is not narrowed, and an empty set that it may do
// nothing.
type permissionSet []permission

func newPermissionSet(permissions ...permission) permissionSet {
	set := append(permissionSet{}, permissions...)
	slices.Sort(set)
	return slices.Compact(set)
}

// parsePermissions reads the permissions that a token is to be narrowed to. An
// empty choice is refused: a token that may do nothing is a mistake, and must
// not be taken for one that may do everything.
func parsePermissions(names []string) (permissionSet, error) {
	set := make(permissionSet, 0, len(names))
	for _, name := range names {
		p := permission(name)
		switch {
		case !knownPermissions.contains(p):
			return nil, &InvalidError{Field: "permissions", Problem: fmt.Sprintf("has no %s to choose: there are %s", plaintext.QuoteShort(name), strings.Join(knownPermissions.names(), ", "))}
		case slices.Contains(set, p):
			return nil, &InvalidError{Field: "permissions", Problem: fmt.Sprintf("holds %s twice: name it once", p)}
		}
		set = append(set, p)
	}
	if len(set) == 0 {
		return nil, &InvalidError{Field: "permissions", Problem: "must name at least one permission; what is not narrowed has none of this field"}
	}
	return newPermissionSet(set...), nil
}

// storedPermissions reads what [permissionSet.String] wrote. A permission that
// this version does not know is kept: no role holds it, and so it counts for
// nothing.
func storedPermissions(stored string) permissionSet {
	return permissionsNamed(strings.Fields(stored))
}

// permissionsNamed is the set of permissions with these names, known or not.
func permissionsNamed(names []string) permissionSet {
	set := permissionSet{}
	for _, name := range names {
		set = append(set, permission(name))
	}
	return newPermissionSet(set...)
}

// String is the form in which a set is stored: sorted, with a space between.
func (s permissionSet) String() string { return strings.Join(s.names(), " ") }

func (s permissionSet) names() []string {
	names := make([]string, len(s))
	for i, p := range s {
		names[i] = string(p)
	}
	return names
}

func (s permissionSet) contains(p permission) bool {
	_, found := slices.BinarySearch(s, p)
	return found
}

// within tells whether every permission of s is in other.
func (s permissionSet) within(other permissionSet) bool {
	_, outside := s.firstOutside(other)
	return !outside
}

// firstOutside returns the first permission of s that other does not hold.
func (s permissionSet) firstOutside(other permissionSet) (permission, bool) {
	for _, p := range s {
		if !other.contains(p) {
			return p, true
		}
	}
	return "", false
}

// intersect returns what is in both sets.
func (s permissionSet) intersect(other permissionSet) permissionSet {
	both := permissionSet{}
	for _, p := range s {
		if other.contains(p) {
			both = append(both, p)
		}
	}
	return both
}
