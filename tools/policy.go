package tools

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is the operator's ceiling: what callers may do at most. No caller can
// raise it.
type Policy struct {
	// ReadOnly leaves out every tool that changes anything.
	ReadOnly bool
	// Toolsets, if any, are the only toolsets on offer.
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

// Validate reports a setting that means nothing, such as the name of a tool
// that does not exist: a misspelt exclusion must not leave the tool on.
func (p Policy) Validate() error {
	toolsets, names := []string{}, []string{}
	for _, tool := range All() {
		if !slices.Contains(toolsets, tool.Toolset) {
			toolsets = append(toolsets, tool.Toolset)
		}
		names = append(names, tool.Name)
	}
	for _, toolset := range p.Toolsets {
		if !slices.Contains(toolsets, toolset) {
			return fmt.Errorf("there is no toolset %q; the toolsets are %s", toolset, strings.Join(toolsets, ", "))
		}
	}
	for _, name := range slices.Concat(p.Only, p.Exclude) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no tool %q; the tools are %s", name, strings.Join(names, ", "))
		}
	}
	switch p.Approval {
	case ApprovalAsk, ApprovalClient, ApprovalDeny:
	default:
		return fmt.Errorf("approval cannot be %q; use ask, client or deny", p.Approval)
	}
	if p.MaxChangesPerMinute < 0 {
		return fmt.Errorf("the number of changes a minute cannot be less than 0")
	}
	if p.MaxTokensPerDay < 0 {
		return fmt.Errorf("the number of new tokens a day cannot be less than 0")
	}
	if p.MaxTokenLifetime <= 0 {
		return fmt.Errorf("the longest lifetime of a token must be more than nothing")
	}
	if p.MinTokenLifetime < 0 || p.MinTokenLifetime > p.MaxTokenLifetime {
		return fmt.Errorf("the longest lifetime of a token must be at least %s, which is the shortest", p.MinTokenLifetime)
	}
	return nil
}

// offers reports whether tool may be listed and called.
func (p Policy) offers(tool *Tool) bool {
	switch {
	case p.ReadOnly && tool.Effect != Reads:
		return false
	case p.Approval == ApprovalDeny && tool.needs(NeedDecision):
		return false
	case len(p.Toolsets) > 0 && !slices.Contains(p.Toolsets, tool.Toolset):
		return false
	case len(p.Only) > 0 && !slices.Contains(p.Only, tool.Name):
		return false
	case slices.Contains(p.Exclude, tool.Name):
		return false
	}
	return true
}

// summary tells the ceiling in a line a person can read, for whoami.
func (p Policy) summary(tools []*Tool) string {
	deciding := "revoking"
	if slices.ContainsFunc(tools, func(t *Tool) bool { return t.needs(NeedDecisionToWiden) }) {
		deciding = "revoking and widening"
	}
	parts := []string{"tokens live at most " + days(p.MaxTokenLifetime)}
	if p.ReadOnly {
		parts = append([]string{"read only"}, parts...)
	}
	if p.AllowNeverExpiring {
		parts = append(parts, "tokens that never expire only when a person agrees")
	} else {
		parts = append(parts, "no tokens that never expire")
	}
	switch p.Approval {
	case ApprovalAsk:
		parts = append(parts, "a person decides about "+deciding)
	case ApprovalClient:
		parts = append(parts, "the client decides about "+deciding)
	case ApprovalDeny:
		parts = append(parts, "no "+deciding)
	}
	if p.MaxChangesPerMinute > 0 {
		parts = append(parts, fmt.Sprintf("at most %d changes a minute", p.MaxChangesPerMinute))
	}
	if p.MaxTokensPerDay > 0 {
		parts = append(parts, fmt.Sprintf("at most %d new tokens in 24 hours", p.MaxTokensPerDay))
	}
	if p.AllowSelfRevoke {
		parts = append(parts, "the token in use may be revoked")
	}
	var off []string
	for _, tool := range tools {
		if !p.offers(tool) {
			off = append(off, tool.Name)
		}
	}
	if len(off) > 0 {
		parts = append(parts, "not on offer: "+strings.Join(off, ", "))
	}
	if p.FromFile {
		parts = append(parts, "a policy file of this machine applies")
	}
	return strings.Join(parts, "; ")
}
