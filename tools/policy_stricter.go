package tools

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// policyRule says how one setting of two policies becomes the stricter of both,
// by the name of its flag.
type policyRule struct {
	key string
	// merge puts the stricter setting of a and b into out.
	merge func(a, b Policy, out *Policy) error
	// weaker reports whether a allows what b does not.
	weaker func(a, b Policy) bool
}

// errNothingLeft is what two lists without a common name allow. An empty list
// would mean all.
var errNothingLeft = errors.New("the flags and the policy file have no tool in common: name at least one in both")

var policyRules = []policyRule{
	{"read-only",
		func(a, b Policy, out *Policy) error { out.ReadOnly = a.ReadOnly || b.ReadOnly; return nil },
		func(a, b Policy) bool { return !a.ReadOnly && b.ReadOnly }},
	{"toolsets",
		func(a, b Policy, out *Policy) (err error) {
			out.Toolsets, err = inBoth(a.Toolsets, b.Toolsets)
			return err
		},
		func(a, b Policy) bool { return allowsMore(a.Toolsets, b.Toolsets) }},
	{"tools",
		func(a, b Policy, out *Policy) (err error) { out.Only, err = inBoth(a.Only, b.Only); return err },
		func(a, b Policy) bool { return allowsMore(a.Only, b.Only) }},
	{"exclude-tools",
		func(a, b Policy, out *Policy) error {
			out.Exclude = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Exclude, b.Exclude))))
			return nil
		},
		func(a, b Policy) bool {
			return slices.ContainsFunc(b.Exclude, func(name string) bool { return !slices.Contains(a.Exclude, name) })
		}},
	{"max-token-lifetime",
		func(a, b Policy, out *Policy) error {
			out.MaxTokenLifetime = min(a.MaxTokenLifetime, b.MaxTokenLifetime)
			return nil
		},
		func(a, b Policy) bool { return a.MaxTokenLifetime > b.MaxTokenLifetime }},
	// It has no flag.
	{"the shortest lifetime",
		func(a, b Policy, out *Policy) error {
			out.MinTokenLifetime = max(a.MinTokenLifetime, b.MinTokenLifetime)
			return nil
		},
		func(a, b Policy) bool { return a.MinTokenLifetime < b.MinTokenLifetime }},
	{"max-tokens-per-day",
		func(a, b Policy, out *Policy) error {
			out.MaxTokensPerDay = a.MaxTokensPerDay
			if bound(b.MaxTokensPerDay) < bound(a.MaxTokensPerDay) {
				out.MaxTokensPerDay = b.MaxTokensPerDay
			}
			return nil
		},
		func(a, b Policy) bool { return bound(a.MaxTokensPerDay) > bound(b.MaxTokensPerDay) }},
	{"max-changes-per-minute",
		func(a, b Policy, out *Policy) error {
			out.MaxChangesPerMinute = a.MaxChangesPerMinute
			if bound(b.MaxChangesPerMinute) < bound(a.MaxChangesPerMinute) {
				out.MaxChangesPerMinute = b.MaxChangesPerMinute
			}
			return nil
		},
		func(a, b Policy) bool { return bound(a.MaxChangesPerMinute) > bound(b.MaxChangesPerMinute) }},
	{"allow-never-expiring",
		func(a, b Policy, out *Policy) error {
			out.AllowNeverExpiring = a.AllowNeverExpiring && b.AllowNeverExpiring
			return nil
		},
		func(a, b Policy) bool { return a.AllowNeverExpiring && !b.AllowNeverExpiring }},
	{"allow-self-revoke",
		func(a, b Policy, out *Policy) error {
			out.AllowSelfRevoke = a.AllowSelfRevoke && b.AllowSelfRevoke
			return nil
		},
		func(a, b Policy) bool { return a.AllowSelfRevoke && !b.AllowSelfRevoke }},
	{"approval",
		func(a, b Policy, out *Policy) error {
			out.Approval = a.Approval
			if strictness(b.Approval) > strictness(a.Approval) {
				out.Approval = b.Approval
			}
			return nil
		},
		func(a, b Policy) bool { return strictness(a.Approval) < strictness(b.Approval) }},
}

// WeakestPolicy restricts nothing: it is where a policy begins that says only
// some of it. It is no policy to serve with.
func WeakestPolicy() Policy {
	return Policy{MaxTokenLifetime: time.Duration(1<<63 - 1), AllowNeverExpiring: true, AllowSelfRevoke: true, Approval: ApprovalClient}
}

// Stricter returns a policy that allows what both p and other allow, and nothing
// else. It is an error if that is no tool, or no token, at all.
func (p Policy) Stricter(other Policy) (Policy, error) {
	stricter := Policy{FromFile: p.FromFile || other.FromFile}
	for _, rule := range policyRules {
		if err := rule.merge(p, other, &stricter); err != nil {
			return Policy{}, err
		}
	}
	if stricter.MinTokenLifetime > stricter.MaxTokenLifetime {
		return Policy{}, fmt.Errorf("the longest lifetime of a token must be at least %s, which is the shortest", stricter.MinTokenLifetime)
	}
	return stricter, nil
}

// WeakerThan returns the names of the flags by which p allows what other does
// not.
func (p Policy) WeakerThan(other Policy) []string {
	var keys []string
	for _, rule := range policyRules {
		if rule.weaker(p, other) {
			keys = append(keys, rule.key)
		}
	}
	return keys
}

// inBoth returns what two lists have in common, where an empty list means all.
func inBoth(a, b []string) ([]string, error) {
	switch {
	case len(a) == 0:
		return b, nil
	case len(b) == 0:
		return a, nil
	}
	var both []string
	for _, name := range a {
		if slices.Contains(b, name) {
			both = append(both, name)
		}
	}
	if len(both) == 0 {
		return nil, errNothingLeft
	}
	return both, nil
}

// allowsMore reports whether a holds what b does not, where an empty list means
// all.
func allowsMore(a, b []string) bool {
	switch {
	case len(b) == 0:
		return false
	case len(a) == 0:
		return true
	}
	return slices.ContainsFunc(a, func(name string) bool { return !slices.Contains(b, name) })
}

// bound reads a number of which zero means any.
func bound(n int) int {
	if n == 0 {
		return int(^uint(0) >> 1)
	}
	return n
}

func strictness(approval Approval) int {
	return slices.Index([]Approval{ApprovalClient, ApprovalAsk, ApprovalDeny}, approval)
}
