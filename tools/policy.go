package tools

import (
	"fmt"
	"slices"
	"time"
)

// Policy is what the operator allows. No caller can extend it.
type Policy struct {
	// ReadOnly leaves out every tool that changes anything.
	ReadOnly bool
	// Toolsets, if any, are the only toolsets on offer. Otherwise all are that are not
	// OptIn.
	Toolsets []string
	// Only, if any, are the only tools on offer, by name.
	Only []string
	// Exclude are tools that are not on offer, by name.
	Exclude []string
	// MaxTokenLifetime is the longest lifetime of a token.
	MaxTokenLifetime time.Duration
	// MinTokenLifetime is the shortest lifetime of a new token. Zero: no minimum.
	MinTokenLifetime time.Duration
	// MaxTokensPerDay bounds how many tokens a caller may create and rotate in 24 hours.
	// Zero: no limit.
	MaxTokensPerDay int
	// MaxChangesPerMinute bounds how many changes a caller may make in a minute. Zero: no
	// limit.
	MaxChangesPerMinute int
	// AllowNeverExpiring lets the user agree to a token that never expires.
	AllowNeverExpiring bool
	// AllowSelfRevoke lets the token in use be revoked through a tool.
	AllowSelfRevoke bool
	// Approval says who decides about what cannot be undone.
	Approval Approval
	// FromFile is set if a policy file contributed to it. It restricts nothing.
	FromFile bool
}

// Approval says who decides about what cannot be undone.
type Approval string

// The ways to decide.
const (
	// ApprovalAsk: the user is asked. If that is impossible, the answer is no.
	ApprovalAsk Approval = "ask"
	// ApprovalClient: the client's own prompt before a tool call is trusted.
	ApprovalClient Approval = "client"
	// ApprovalDeny: tools that need a decision are not on offer.
	ApprovalDeny Approval = "deny"
)

// The defaults of a [Policy].
const (
	DefaultMaxTokenLifetime = 365 * 24 * time.Hour
	// DefaultMinTokenLifetime avoids tokens that expire before anybody uses them.
	DefaultMinTokenLifetime    = 5 * time.Minute
	DefaultMaxTokensPerDay     = 50
	DefaultMaxChangesPerMinute = 5
)

// DefaultPolicy returns the policy where the operator sets none.
func DefaultPolicy() Policy {
	return Policy{
		MaxTokenLifetime:    DefaultMaxTokenLifetime,
		MinTokenLifetime:    DefaultMinTokenLifetime,
		MaxTokensPerDay:     DefaultMaxTokensPerDay,
		MaxChangesPerMinute: DefaultMaxChangesPerMinute,
		Approval:            ApprovalAsk,
	}
}

// Validate returns an error for an invalid setting, such as the name of a tool that does
// not exist. It returns the policy with toolset aliases replaced by names.
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
