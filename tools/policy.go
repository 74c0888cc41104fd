package tools

import (
	"fmt"
	"slices"
	"time"
)

// Policy is the operator's ceiling: what callers may do at most. No caller can
// raise it.
type Policy struct {
	// ReadOnly leaves out every tool that changes anything.
	ReadOnly bool
	// Toolsets, if any, are the only toolsets on offer. Otherwise, those are that are
	// not OptIn.
	Toolsets []string
	// Only, if any, are the only tools on offer, by name.
	Only []string
	// Exclude are tools that are not on offer, by name.
	Exclude []string
	// MaxTokenLifetime bounds how long a token may live, from its creation on.
	MaxTokenLifetime time.Duration
	// MinTokenLifetime is how long a new token lives at least. Zero: any time.
	MinTokenLifetime time.Duration
	// MaxTokensPerDay bounds how many tokens a caller may create and rotate in 24
	// hours. Zero: as many as they like.
	MaxTokensPerDay int
	// MaxChangesPerMinute bounds how many tokens a caller may create, change, revoke
	// and rotate in a minute. Zero: as many as they like.
	MaxChangesPerMinute int
	// AllowNeverExpiring lets a person agree to a token without an end.
	AllowNeverExpiring bool
	// AllowSelfRevoke lets the token in use be revoked through a tool.
	AllowSelfRevoke bool
	// Approval says who decides about what cannot be undone.
	Approval Approval
	// FromFile tells that a policy file took part in it. It restricts nothing.
	FromFile bool
}

// Approval says who decides about what cannot be undone.
type Approval string

// The ways to decide.
const (
	// ApprovalAsk: the person is asked; when nobody can be, the answer is no.
	ApprovalAsk Approval = "ask"
	// ApprovalClient: the client's own prompt before a tool call is trusted.
	ApprovalClient Approval = "client"
	// ApprovalDeny: tools that need a decision are not on offer.
	ApprovalDeny Approval = "deny"
)

// DefaultMaxTokenLifetime bounds new tokens where the operator says nothing.
const DefaultMaxTokenLifetime = 365 * 24 * time.Hour

// DefaultMaxChangesPerMinute bounds changes where the operator says nothing.
const DefaultMaxChangesPerMinute = 5

// DefaultMinTokenLifetime is the least lifetime of new tokens where the operator
// says nothing. A token that is dead before anybody uses it only makes the list
// longer.
const DefaultMinTokenLifetime = 5 * time.Minute

// DefaultMaxTokensPerDay bounds new tokens where the operator says nothing.
const DefaultMaxTokensPerDay = 50

// DefaultPolicy is the ceiling where the operator says nothing.
func DefaultPolicy() Policy {
	return Policy{
		MaxTokenLifetime:    DefaultMaxTokenLifetime,
		MinTokenLifetime:    DefaultMinTokenLifetime,
		MaxTokensPerDay:     DefaultMaxTokensPerDay,
		MaxChangesPerMinute: DefaultMaxChangesPerMinute,
		Approval:            ApprovalAsk,
	}
}

// Validate reports a setting that is invalid, such as the name of a tool that does
// not exist. It returns the policy with the names of toolsets in the place of
// their aliases.
func (p Policy) Validate(sets []*Toolset) (Policy, error) {
	p, err := p.checkNames(sets)
	if err != nil {
		return p, err
	}
	switch p.Approval {
	case ApprovalAsk, ApprovalClient, ApprovalDeny:
	default:
		return p, fmt.Errorf("approval cannot be %q; use ask, client or deny", p.Approval)
	}
	if p.MaxChangesPerMinute < 0 {
		return p, fmt.Errorf("the number of changes a minute cannot be less than 0")
	}
	if p.MaxTokensPerDay < 0 {
		return p, fmt.Errorf("the number of new tokens a day cannot be less than 0")
	}
	if p.MaxTokenLifetime <= 0 {
		return p, fmt.Errorf("the longest lifetime of a token must be more than nothing")
	}
	if p.MinTokenLifetime < 0 || p.MinTokenLifetime > p.MaxTokenLifetime {
		return p, fmt.Errorf("the longest lifetime of a token must be at least %s, which is the shortest", p.MinTokenLifetime)
	}
	return p, nil
}

// Offers reports whether tool of set may be listed and called.
func (p Policy) Offers(set *Toolset, tool *Tool) bool {
	switch {
	case p.ReadOnly && tool.Effect != Reads:
		return false
	case p.Approval == ApprovalDeny && tool.HasNeed(NeedDecision):
		return false
	case len(p.Toolsets) > 0 && !slices.Contains(p.Toolsets, set.Name):
		return false
	case len(p.Toolsets) == 0 && set.OptIn:
		return false
	case len(p.Only) > 0 && !slices.Contains(p.Only, tool.Name):
		return false
	case slices.Contains(p.Exclude, tool.Name):
		return false
	}
	return true
}
