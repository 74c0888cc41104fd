//go:build conformance

package server

import (
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// form asks for one field of a JSON type.
func form(message, field, kind string) mcp.ElicitationParams {
	return mcp.ElicitationParams{
		Mode:    mcp.ElicitationModeForm,
		Message: message,
		RequestedSchema: map[string]any{
			"type":       "object",
			"properties": map[string]any{field: map[string]any{"type": kind}},
			"required":   []string{field},
		},
	}
}

// accepted is a field of the form that was asked for under key. It is false for
// a form that was declined, is missing, or has something else in the field.
func accepted[T any](responses mcp.InputResponses, key, field string) (T, bool) {
	var none T
	answer := server.ElicitationResponse(responses, key)
	if answer == nil || answer.Action != mcp.ElicitationResponseActionAccept {
		return none, false
	}
	content, _ := answer.Content.(map[string]any)
	value, ok := content[field].(T)
	return value, ok
}

// sampling asks the client's model for up to maxTokens tokens.
func sampling(prompt string, maxTokens int) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{
		Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(prompt)}},
		MaxTokens: maxTokens,
	}
}

// sampled is what the model wrote when it was asked under key.
func sampled(responses mcp.InputResponses, key string) (string, bool) {
	answer := server.SamplingResponse(responses, key)
	if answer == nil {
		return "", false
	}
	return mcp.GetTextFromContent(answer.Content), true
}

// askName asks the person for a name until there is one.
func askName(request mcp.CallToolRequest) *mcp.CallToolResult {
	const key = "user_name"
	if name, ok := accepted[string](request.Params.InputResponses, key, "name"); ok {
		return mcp.NewToolResultText("Hello, " + name + "!")
	}
	return server.NewInputRequestBuilder("").Elicit(key, form("What is your name?", "name", "string")).ToolResult()
}
