package tools

import "github.com/mark3labs/mcp-go/mcp"

// result is what a tool answers when it did what it was asked to do.
type result struct {
	// structured is for programs; it has the form of the tool's OutputSchema.
	structured any
	// text says the same to people and models, in fewer bytes.
	text string
	// undo takes back what is lost if nobody gets this result. Nil: nothing is.
	undo func()
}

func (r *result) toolResult() *mcp.CallToolResult {
	return mcp.NewToolResultStructured(r.structured, r.text)
}
