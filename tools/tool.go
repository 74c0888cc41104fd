// Package tools is the framework for what an AI assistant can do on kenbun. It knows
// neither the transports nor the tools.
//
// A tool is a value of type [Tool], and tools belong to a [Toolset]. Code that
// registers, filters, documents or tests tools walks these values. A [Toolbox]
// connects the toolsets with the caller ([Callers]), the audit log ([audit.Log]) and
// the operator's limits ([Policy]).
//
// Three rules hold for every tool:
//
//   - The value of a new token is in no result, error or log. It goes to the user
//     by a delivery method that no model can read.
//   - A change that cannot be undone happens only after the user agreed, in a way
//     that no argument of a tool can replace.
//   - A call acts as the one user whose credential came with it.
package tools

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// A Tool describes itself. Everything that is registered, listed, documented or checked
// about a tool comes from this value.
type Tool struct {
	// Name is how clients call the tool.
	Name string
	// Title is the name that people see.
	Title string
	// Description tells a model what the tool does and when to use it.
	Description string
	// Parameters are the arguments, in the order in which they are documented.
	Parameters []Parameter
	// OutputSchema is the JSON Schema of the structured content.
	OutputSchema json.RawMessage
	// Effect says what a call changes.
	Effect Effect
	// Needs lists what the tool needs from the user besides the call.
	Needs []Need
	// Extension means that kenbun does not document what the tool does. It is offered
	// only where the API supports it anyway.
	Extension bool
	// Run makes a call.
	Run func(context.Context, *Call) (*Result, error)
}

// Effect is what calling a tool may change.
type Effect int

const (
	// Reads changes nothing.
	Reads Effect = iota
	// Adds makes something new and leaves the rest as it was.
	Adds
	// Destroys removes something that cannot be brought back.
	Destroys
	// Replaces adds something new and removes the old.
	Replaces
	// Alters changes something that is there.
	Alters
)

// Need is something that a tool needs from the user.
type Need string

const (
	// NeedDelivery means that a secret has to reach the user.
	NeedDelivery Need = "delivery"
	// NeedDecision means that the user decides before anything happens.
	NeedDecision Need = "decision"
	// NeedDecisionToWiden means that the user decides if the change widens something, or
	// concerns the token that the call itself uses.
	NeedDecisionToWiden Need = "decision to widen"
)

// Definition returns the tool as MCP clients see it.
func (t *Tool) Definition() mcp.Tool {
	return mcp.Tool{
		Name:            t.Name,
		Title:           t.Title,
		Description:     t.Description,
		RawInputSchema:  inputSchema(t.Parameters),
		RawOutputSchema: t.OutputSchema,
		Annotations: mcp.ToolAnnotation{
			ReadOnlyHint: mcp.ToBoolPtr(t.Effect == Reads),
			// The hint covers everything that does more than add.
			DestructiveHint: mcp.ToBoolPtr(t.Effect == Destroys || t.Effect == Replaces || t.Effect == Alters),
			// Creating twice makes two tokens; revoking twice changes nothing more. An
			// expiry of "30d" is another time at each call.
			IdempotentHint: mcp.ToBoolPtr(t.Effect == Reads || t.Effect == Destroys),
			// The tools reach the one configured API and nothing else.
			OpenWorldHint: mcp.ToBoolPtr(false),
		},
	}
}

// HasNeed reports whether the tool needs need from the user.
func (t *Tool) HasNeed(need Need) bool { return slices.Contains(t.Needs, need) }

// keptMember is the key in the _meta of a kept outcome. Its value is when the call ended.
const keptMember = "kenbun.io/kept"

// Result is the answer of a tool that did what it was asked to do.
type Result struct {
	// Structured is for programs. It conforms to the tool's OutputSchema.
	Structured any
	// Text says the same in fewer bytes, for models and users.
	Text string

	// ended is when the call ended, if this is a kept outcome. Zero: it is new.
	ended time.Time
	// undo takes back what would be lost if nobody gets this result. It may be nil.
	undo func()
}

func (r *Result) toolResult() *mcp.CallToolResult {
	answer := mcp.NewToolResultStructured(r.Structured, r.Text)
	if !r.ended.IsZero() {
		answer.Meta = mcp.NewMetaFromMap(map[string]any{keptMember: Timestamp(&r.ended)})
	}
	return answer
}

// InputRequired is the error of a call that is answered with a question. The client
// calls again with the answer (protocol 2026-07-28, multi round-trip requests).
type InputRequired struct{ Result *mcp.CallToolResult }

func (*InputRequired) Error() string { return "waiting for the user's decision" }
