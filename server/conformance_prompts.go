//go:build conformance

package server

import (
	"context"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func (f *conformanceFixtures) addPrompts() {
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
func (f *conformanceFixtures) addPrompt(name, description, text string) {
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
