package tools

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

// A Tool describes itself: everything that is registered, listed, documented or
// checked about a tool is read from this value.
type Tool struct {
	// Name is how clients call the tool.
	Name string
	// Title is the name for people.
	Title string
	// Description tells a model what the tool does and when to use it.
	Description string
	// Toolset is the group that the operator can switch as a whole.
	Toolset string
	// Parameters are the arguments, in the order in which they are documented.
	Parameters []Parameter
	// OutputSchema is the JSON Schema of the structured content.
	OutputSchema json.RawMessage
	// Effect says what a call changes.
	Effect Effect
	// Needs says what the tool needs from the person besides the call.
	Needs []Need

	run func(context.Context, *call) (*result, error)
}

// Effect is what calling a tool may change.
type Effect int

const (
	// Reads changes nothing.
	Reads Effect = iota
	// Adds makes something new and leaves the rest as it was.
	Adds
	// Destroys takes something away that cannot be brought back.
	Destroys
	// Replaces makes something new and takes the old away.
	Replaces
)

// Need is something that a tool needs from the person.
type Need string

const (
	// NeedDelivery means that a secret has to reach the person.
	NeedDelivery Need = "delivery"
	// NeedDecision means that the person decides before anything happens.
	NeedDecision Need = "decision"
)

// The toolsets.
const (
	ToolsetAccount = "account"
	ToolsetTokens  = "tokens"
)

// All holds every tool there is, in the order in which they are documented.
func All() []*Tool {
	return []*Tool{whoami(), listTokens(), createToken(), revokeToken(), rotateToken()}
}

// Definition is the tool as MCP clients see it.
func (t *Tool) Definition() mcp.Tool {
	return mcp.Tool{
		Name:            t.Name,
		Title:           t.Title,
		Description:     t.Description,
		RawInputSchema:  inputSchema(t.Parameters),
		RawOutputSchema: t.OutputSchema,
		Annotations: mcp.ToolAnnotation{
			ReadOnlyHint:    mcp.ToBoolPtr(t.Effect == Reads),
			DestructiveHint: mcp.ToBoolPtr(t.Effect == Destroys || t.Effect == Replaces),
			// Creating twice makes two tokens; revoking twice changes nothing more.
			IdempotentHint: mcp.ToBoolPtr(t.Effect == Reads || t.Effect == Destroys),
			// The tools reach the one configured API and nothing else.
			OpenWorldHint: mcp.ToBoolPtr(false),
		},
	}
}

func (t *Tool) needs(need Need) bool {
	for _, n := range t.Needs {
		if n == need {
			return true
		}
	}
	return false
}
