package tools

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// policyRule says how one setting of two policies becomes the stricter of both. key
// is the name of the setting's flag.
type policyRule struct {
	key string
	// merge puts the stricter setting of a and b into out.
	merge func(a, b Policy, out *Policy)
	// weaker reports whether a allows what b does not.
	weaker func(a, b Policy) bool
}

// setting is the rule for one field. stricter(a, b) is a exactly if a allows nothing
// that b does not.
func setting[T comparable](key string, field func(*Policy) *T, stricter func(a, b T) T) policyRule {
	return policyRule{key,
		func(a, b Policy, out *Policy) { *field(out) = stricter(*field(&a), *field(&b)) },
		func(a, b Policy) bool { return stricter(*field(&a), *field(&b)) != *field(&a) }}
}

// names is the same for a list.
func names(key string, field func(*Policy) *[]string, stricter func(a, b []string) []string) policyRule {
	return policyRule{key,
		func(a, b Policy, out *Policy) { *field(out) = stricter(*field(&a), *field(&b)) },
		func(a, b Policy) bool { return !slices.Equal(stricter(*field(&a), *field(&b)), *field(&a)) }}
}

var policyRules = []policyRule{
	setting("read-only", func(p *Policy) *bool { return &p.ReadOnly }, either),
	names("toolsets", func(p *Policy) *[]string { return &p.Toolsets }, inBoth),
	names("tools", func(p *Policy) *[]string { return &p.Only }, inBoth),
	names("exclude-tools", func(p *Policy) *[]string { return &p.Exclude }, inEither),
	setting("max-token-lifetime", func(p *Policy) *time.Duration { return &p.MaxTokenLifetime }, func(a, b time.Duration) time.Duration { return min(a, b) }),
	// It has no flag.
	setting("the shortest lifetime", func(p *Policy) *time.Duration { return &p.MinTokenLifetime }, func(a, b time.Duration) time.Duration { return max(a, b) }),
	setting("max-tokens-per-day", func(p *Policy) *int { return &p.MaxTokensPerDay }, lowerBound),
	setting("max-changes-per-minute", func(p *Policy) *int { return &p.MaxChangesPerMinute }, lowerBound),
	setting("allow-never-expiring", func(p *Policy) *bool { return &p.AllowNeverExpiring }, both),
	setting("allow-self-revoke", func(p *Policy) *bool { return &p.AllowSelfRevoke }, both),
	setting("approval", func(p *Policy) *Approval { return &p.Approval }, func(a, b Approval) Approval {
		strictness := []Approval{ApprovalClient, ApprovalAsk, ApprovalDeny}
		if slices.Index(strictness, b) > slices.Index(strictness, a) {
			return b
		}
		return a
	}),
}

// WeakestPolicy restricts nothing. A policy that sets only some fields starts with
// it. It is not a policy to serve with.
func WeakestPolicy() Policy {
	return Policy{MaxTokenLifetime: math.MaxInt64, AllowNeverExpiring: true, AllowSelfRevoke: true, Approval: ApprovalClient}
}

// Stricter returns a policy that allows what both p and other allow, and nothing
// else. It is an error if that is no tool, or no token, at all.
func (p Policy) Stricter(other Policy) (Policy, error) {
	stricter := Policy{FromFile: p.FromFile || other.FromFile}
	for _, rule := range policyRules {
		rule.merge(p, other, &stricter)
	}
	// An empty list would mean all.
	if len(p.Toolsets) > 0 && len(stricter.Toolsets) == 0 || len(p.Only) > 0 && len(stricter.Only) == 0 {
		return Policy{}, errors.New("the flags and the policy file have no tool in common: name at least one in both")
	}
	if stricter.MinTokenLifetime > stricter.MaxTokenLifetime {
		return Policy{}, fmt.Errorf("the longest lifetime of a token must be at least %s, which is the shortest", stricter.MinTokenLifetime)
	}
	return stricter, nil
}

// WeakerThan returns the names of the flags by which p allows what other does not.
func (p Policy) WeakerThan(other Policy) []string {
	var keys []string
	for _, rule := range policyRules {
		if rule.weaker(p, other) {
			keys = append(keys, rule.key)
		}
	}
	return keys
}

func either(a, b bool) bool { return a || b }

func both(a, b bool) bool { return a && b }

// lowerBound returns the lower of two numbers, where zero means no bound.
func lowerBound(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// inBoth returns what two lists have in common, where an empty list means all.
func inBoth(a, b []string) []string {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}

// inEither returns a, and after it what b has besides.
func inEither(a, b []string) []string {
	return append(slices.Clone(a), slices.DeleteFunc(slices.Clone(b), func(name string) bool { return slices.Contains(a, name) })...)
}
