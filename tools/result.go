package tools

import (
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// keptMember tells in the _meta of an answer when the call ended whose outcome it is.
const keptMember = "kenbun.io/kept"

// result is what a tool answers when it did what it was asked to do.
type result struct {
	// structured is for programs; it has the form of the tool's OutputSchema.
	structured any
	// text says the same to people and models, in fewer bytes.
	text string
	// ended is when the call ended whose kept outcome this is. Zero: it is a new one.
	ended time.Time
	// undo takes back what is lost if nobody gets this result. Nil: nothing is.
	undo func()
}

func (r *result) toolResult() *mcp.CallToolResult {
	answer := mcp.NewToolResultStructured(r.structured, r.text)
	if !r.ended.IsZero() {
		answer.Meta = mcp.NewMetaFromMap(map[string]any{keptMember: timestamp(&r.ended)})
	}
	return answer
}
