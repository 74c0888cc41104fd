//go:build conformance

package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// fixtures are the tools, prompts and resources that the MCP
// conformance suite calls by name. They stand beside the real tools, behind the
// same transport, which is what the suite is run for: script/conformance.
type fixtures struct {
	mcp    *server.MCPServer
	states requestStates
}

// Add also switches on the capabilities that the real tools
// do without.
func Add(s *server.MCPServer) {
	for _, capability := range []server.ServerOption{
		server.WithToolCapabilities(true),
		server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true),
		server.WithLogging(),
		server.WithCompletions(),
	} {
		capability(s)
	}
	f := &fixtures{mcp: s, states: newRequestStates()}
	f.addContentTools()
	f.addSchemaTools()
	f.addNotifyingTools()
	f.addAskingTools()
	f.addInputRequiredTools()
	f.addPrompts()
	f.addResources()
}

// addTool adds a tool without arguments.
func (f *fixtures) addTool(name, description string, handler server.ToolHandlerFunc) {
	f.mcp.AddTool(mcp.NewTool(name, mcp.WithDescription(description)), handler)
}

// always answers every call alike.
func always(result *mcp.CallToolResult) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return result, nil }
}

const (
	// onePixel is a PNG of one red pixel, in base64.
	onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	// oneSample is a WAV file of one silent sample, in base64.
	oneSample = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="
)

// addContentTools adds a tool for each kind of content, and one that fails.
func (f *fixtures) addContentTools() {
	f.addTool("test_simple_text", "Answers with text",
		always(mcp.NewToolResultText("This is a simple text response for testing.")))
	f.addTool("test_image_content", "Answers with an image",
		always(contentResult(mcp.NewImageContent(onePixel, "image/png"))))
	f.addTool("test_audio_content", "Answers with a sound",
		always(contentResult(mcp.NewAudioContent(oneSample, "audio/wav"))))
	f.addTool("test_embedded_resource", "Answers with an embedded resource",
		always(contentResult(mcp.NewEmbeddedResource(mcp.TextResourceContents{
			URI: "test://embedded-resource", MIMEType: "text/plain", Text: "This is an embedded resource content.",
		}))))
	f.addTool("test_multiple_content_types", "Answers with text, an image and an embedded resource",
		always(contentResult(
			mcp.NewTextContent("Multiple content types test:"),
			mcp.NewImageContent(onePixel, "image/png"),
			mcp.NewEmbeddedResource(mcp.TextResourceContents{
				URI: "test://mixed-content-resource", MIMEType: "application/json", Text: `{"test":"data","value":123}`,
			}),
		)))
	f.addTool("test_error_handling", "Fails",
		always(mcp.NewToolResultError("This tool intentionally returns an error for testing")))
}

func contentResult(content ...mcp.Content) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: content}
}

// addSchemaTools adds tools whose schemas matter, and not their answers.
func (f *fixtures) addSchemaTools() {
	f.mcp.AddTool(mcp.NewToolWithRawSchema("json_schema_2020_12_tool",
		"Has keywords of JSON Schema 2020-12 in its schema, which must arrive as they are", json.RawMessage(schema2020)),
		always(mcp.NewToolResultText("The schema is what matters.")))
	f.mcp.AddTool(mcp.NewToolWithRawSchema("test_header_parameter",
		"Has an argument that clients repeat in the header Mcp-Param-Region", json.RawMessage(headerSchema)),
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(fmt.Sprintf("region: %s", request.GetString("region", "none"))), nil
		})
}

const schema2020 = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"$defs": {
		"address": {
			"$anchor": "addressDef",
			"type": "object",
			"properties": {"street": {"type": "string"}, "city": {"type": "string"}}
		}
	},
	"properties": {
		"name": {"type": "string"},
		"address": {"$ref": "#/$defs/address"},
		"contactMethod": {"type": "string", "enum": ["phone", "email"]},
		"phone": {"type": "string"},
		"email": {"type": "string"}
	},
	"allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
	"if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
	"then": {"required": ["phone"]},
	"else": {"required": ["email"]},
	"additionalProperties": false
}`

const headerSchema = `{
	"type": "object",
	"properties": {
		"region": {"type": "string", "description": "a region", "x-mcp-header": "Region"}
	},
	"additionalProperties": false
}`

// addNotifyingTools adds tools that say something before they answer. The suite
// describes pauses in between; without any it is harder for a transport to lose
// nothing.
func (f *fixtures) addNotifyingTools() {
	f.addTool("test_tool_with_logging", "Logs three messages before it answers",
		f.logging("Tool execution started", "Tool processing data", "Tool execution completed"))
	f.addTool("test_logging_tool", "Logs a message, which is for clients that asked for a log",
		f.logging("Tool executed"))
	f.addTool("test_tool_with_progress", "Reports progress three times before it answers",
		func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := f.reportProgress(ctx, request, 0, 50, 100); err != nil {
				return nil, err
			}
			return mcp.NewToolResultText("The progress was reported."), nil
		})
	f.addTool("test_trigger_tool_change", "Changes the list of tools",
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			f.addTool("test_added_tool", "Was added by test_trigger_tool_change", always(mcp.NewToolResultText("It is there.")))
			return mcp.NewToolResultText("The list of tools has changed."), nil
		})
	f.addTool("test_trigger_prompt_change", "Changes the list of prompts",
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			f.addPrompt("test_added_prompt", "Was added by test_trigger_prompt_change", "It is there.")
			return mcp.NewToolResultText("The list of prompts has changed."), nil
		})
}

func (f *fixtures) logging(messages ...string) server.ToolHandlerFunc {
	return func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, message := range messages {
			notification := mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "conformance", message)
			if err := f.mcp.SendLogMessageToClient(ctx, notification); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("Whoever asked for a log has it."), nil
	}
}

// reportProgress reports steps out of 100, to a client that asked for it.
func (f *fixtures) reportProgress(ctx context.Context, request mcp.CallToolRequest, steps ...int) error {
	if request.Params.Meta == nil || request.Params.Meta.ProgressToken == nil {
		return nil
	}
	var errs []error
	for _, step := range steps {
		errs = append(errs, f.mcp.SendNotificationToClient(ctx, string(mcp.MethodNotificationProgress), map[string]any{
			"progressToken": request.Params.Meta.ProgressToken,
			"progress":      step,
			"total":         100,
		}))
	}
	return errors.Join(errs...)
}

func (f *fixtures) addPrompts() {
	f.addPrompt("test_simple_prompt", "Text", "This is a simple prompt for testing.")
	f.mcp.AddPrompt(mcp.NewPrompt("test_prompt_with_arguments",
		mcp.WithPromptDescription("Text with two arguments in it"),
		mcp.WithArgument("arg1", mcp.ArgumentDescription("the first"), mcp.RequiredArgument()),
		mcp.WithArgument("arg2", mcp.ArgumentDescription("the second"), mcp.RequiredArgument()),
	), func(_ context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		arguments := request.Params.Arguments
		return promptResult(mcp.NewTextContent(
			fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", arguments["arg1"], arguments["arg2"]))), nil
	})
	f.mcp.AddPrompt(mcp.NewPrompt("test_prompt_with_embedded_resource",
		mcp.WithPromptDescription("An embedded resource"),
		mcp.WithArgument("resourceUri", mcp.ArgumentDescription("the resource's URI"), mcp.RequiredArgument()),
	), func(_ context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return promptResult(
			mcp.NewEmbeddedResource(mcp.TextResourceContents{
				URI: request.Params.Arguments["resourceUri"], MIMEType: "text/plain", Text: "Embedded resource content for testing.",
			}),
			mcp.NewTextContent("Please process the embedded resource above."),
		), nil
	})
	f.mcp.AddPrompt(mcp.NewPrompt("test_prompt_with_image", mcp.WithPromptDescription("An image")),
		func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return promptResult(
				mcp.NewImageContent(onePixel, "image/png"),
				mcp.NewTextContent("Please analyze the image above."),
			), nil
		})
	f.mcp.AddPrompt(mcp.NewPrompt("test_input_required_result_prompt",
		mcp.WithPromptDescription("Text that the person is asked for"),
	), askForContext)
}

// addPrompt adds a prompt that is nothing but text.
func (f *fixtures) addPrompt(name, description, text string) {
	f.mcp.AddPrompt(mcp.NewPrompt(name, mcp.WithPromptDescription(description)),
		func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return promptResult(mcp.NewTextContent(text)), nil
		})
}

func askForContext(_ context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	const key = "user_context"
	if given, ok := accepted[string](request.Params.InputResponses, key, "context"); ok {
		return promptResult(mcp.NewTextContent("Context: " + given)), nil
	}
	return server.NewInputRequestBuilder("").
		Elicit(key, form("What context should the prompt use?", "context", "string")).
		PromptResult(), nil
}

// promptResult is a prompt of the user's, a message for each content.
func promptResult(contents ...mcp.Content) *mcp.GetPromptResult {
	result := &mcp.GetPromptResult{}
	for _, content := range contents {
		result.Messages = append(result.Messages, mcp.NewPromptMessage(mcp.RoleUser, content))
	}
	return result
}

func (f *fixtures) addResources() {
	f.addResource("static-text", "A text", mcp.TextResourceContents{
		URI: "test://static-text", MIMEType: "text/plain", Text: "This is the content of the static text resource.",
	})
	f.addResource("watched-resource", "A text that clients subscribe to", mcp.TextResourceContents{
		URI: "test://watched-resource", MIMEType: "text/plain", Text: "Watched resource content.",
	})
	f.mcp.AddResource(
		mcp.NewResource("test://static-binary", "static-binary", mcp.WithResourceDescription("An image"), mcp.WithMIMEType("image/png")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: onePixel}}, nil
		})
	f.mcp.AddResourceTemplate(
		mcp.NewResourceTemplate("test://template/{id}/data", "template",
			mcp.WithTemplateDescription("Data by id"), mcp.WithTemplateMIMEType("application/json")),
		readTemplate)
}

func (f *fixtures) addResource(name, description string, contents mcp.TextResourceContents) {
	f.mcp.AddResource(
		mcp.NewResource(contents.URI, name, mcp.WithResourceDescription(description), mcp.WithMIMEType(contents.MIMEType)),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{contents}, nil
		})
}

func readTemplate(_ context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	id := strings.TrimSuffix(strings.TrimPrefix(request.Params.URI, "test://template/"), "/data")
	data, err := json.Marshal(map[string]any{"id": id, "templateTest": true, "data": "Data for ID: " + id})
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{
		URI: request.Params.URI, MIMEType: "application/json", Text: string(data),
	}}, nil
}
