//go:build conformance

package server

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
)

const (
	// onePixel is a PNG of one red pixel, in base64.
	onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	// oneSample is a WAV file of one silent sample, in base64.
	oneSample = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="
)

// addContentTools adds a tool for each kind of content, and one that fails.
func (f *conformanceFixtures) addContentTools() {
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
func (f *conformanceFixtures) addSchemaTools() {
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
