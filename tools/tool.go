package tools

import (
	"context"
	"encoding/json"
	"slices"

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
	// Extension tells that kenbun documents no such thing of its API: the tool is
	// there only where the API has it all the same.
	Extension bool

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
	// Alters makes something another than it was.
	Alters
)

// Need is something that a tool needs from the person.
type Need string

const (
	// NeedDelivery means that a secret has to reach the person.
	NeedDelivery Need = "delivery"
	// NeedDecision means that the person decides before anything happens.
	NeedDecision Need = "decision"
	// NeedDecisionToWiden means that the person decides where something may do
	// more afterwards, or where it is what the call itself runs on.
	NeedDecisionToWiden Need = "decision to widen"
)

// The toolsets.
const (
	ToolsetAccount = "account"
	ToolsetTokens  = "tokens"
)

// All holds every tool there is, in the order in which they are documented.
func All() []*Tool {
	return []*Tool{whoami(), listTokens(), createToken(), revokeToken(), rotateToken(), updateToken()}
}

// Available holds the tools, each with the arguments, that work with an API that
// has extensions, or with one that has what kenbun documents and no more.
func Available(extensions bool) []*Tool {
	tools := All()
	if extensions {
		return tools
	}
	tools = slices.DeleteFunc(tools, func(t *Tool) bool { return t.Extension })
	for _, tool := range tools {
		tool.Parameters = slices.DeleteFunc(tool.Parameters, func(p Parameter) bool { return p.Extension })
	}
	return tools
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
			ReadOnlyHint: mcp.ToBoolPtr(t.Effect == Reads),
			// The hint means all that does not only add.
			DestructiveHint: mcp.ToBoolPtr(t.Effect == Destroys || t.Effect == Replaces || t.Effect == Alters),
			// Creating twice makes two tokens; revoking twice changes nothing more. An
			// end in "30d" is another one at each call.
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
