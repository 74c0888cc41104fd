//go:build conformance

package server

import (
	"context"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// addAskingTools adds tools that ask clients of protocols before 2026-07-28 in
// the middle of a call, and one that newer clients must be able to answer.
func (f *conformanceFixtures) addAskingTools() {
	f.mcp.AddTool(mcp.NewTool("test_sampling",
		mcp.WithDescription("Asks the client's model"),
		mcp.WithString("prompt", mcp.Description("the prompt"), mcp.Required()),
	), func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		const key = "completion"
		if text, ok := sampled(request.Params.InputResponses, key); ok {
			return mcp.NewToolResultText("LLM response: " + text), nil
		}
		return server.NewInputRequestBuilder("").
			Sample(key, sampling(request.GetString("prompt", ""), 100)).
			ToolResult(), nil
	})
	f.mcp.AddTool(mcp.NewTool("test_elicitation",
		mcp.WithDescription("Asks the person"),
		mcp.WithString("message", mcp.Description("the question"), mcp.Required()),
	), func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return ask(request, request.GetString("message", ""), map[string]any{
			"type": "object",
			"properties": map[string]any{
				"username": map[string]any{"type": "string", "description": "User's response"},
				"email":    map[string]any{"type": "string", "description": "User's email address"},
			},
			"required": []string{"username", "email"},
		}), nil
	})
	f.addTool("test_elicitation_sep1034_defaults", "Asks the person with a form that is filled in already",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return ask(request, "Is this you?", map[string]any{"type": "object", "properties": filledIn}), nil
		})
	f.addTool("test_elicitation_sep1330_enums", "Asks the person to choose, in each of the ways to write a choice",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return ask(request, "Choose", map[string]any{"type": "object", "properties": choices}), nil
		})
	f.addTool("test_streaming_elicitation", "Reports progress and asks the person: the question is the answer, and no request of its own",
		func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := f.reportProgress(ctx, request, 50); err != nil {
				return nil, err
			}
			return askName(request), nil
		})
	f.addTool("test_missing_capability", "Needs a client with a model",
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if capabilitiesOf(ctx).Sampling == nil {
				return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
			}
			return mcp.NewToolResultText("The client has a model."), nil
		})
}

// ask asks with a form and tells what was answered.
func ask(request mcp.CallToolRequest, message string, schema map[string]any) *mcp.CallToolResult {
	const key = "form"
	if answer := server.ElicitationResponse(request.Params.InputResponses, key); answer != nil {
		return mcp.NewToolResultText(fmt.Sprintf("User response: action=%s, content=%v", answer.Action, answer.Content))
	}
	return server.NewInputRequestBuilder("").
		Elicit(key, mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: message, RequestedSchema: schema}).
		ToolResult()
}

// capabilitiesOf are what the client of a request declared with it.
func capabilitiesOf(ctx context.Context) mcp.ClientCapabilities {
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.ClientCapabilities != nil {
		return *info.ClientCapabilities
	}
	return mcp.ClientCapabilities{}
}

// filledIn has a default of each primitive type.
var filledIn = map[string]any{
	"name":     map[string]any{"type": "string", "description": "User name", "default": "John Doe"},
	"age":      map[string]any{"type": "integer", "description": "User age", "default": 30},
	"score":    map[string]any{"type": "number", "description": "User score", "default": 95.5},
	"status":   map[string]any{"type": "string", "description": "User status", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
	"verified": map[string]any{"type": "boolean", "description": "Verification status", "default": true},
}

var (
	options = []string{"option1", "option2", "option3"}
	titled  = []any{
		map[string]any{"const": "value1", "title": "First Option"},
		map[string]any{"const": "value2", "title": "Second Option"},
		map[string]any{"const": "value3", "title": "Third Option"},
	}
	choices = map[string]any{
		"untitledSingle": map[string]any{"type": "string", "enum": options},
		"titledSingle":   map[string]any{"type": "string", "oneOf": titled},
		"legacyEnum": map[string]any{
			"type": "string", "enum": []string{"opt1", "opt2", "opt3"},
			"enumNames": []string{"Option One", "Option Two", "Option Three"},
		},
		"untitledMulti": map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": options}},
		"titledMulti":   map[string]any{"type": "array", "items": map[string]any{"anyOf": titled}},
	}
)
