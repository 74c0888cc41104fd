//go:build conformance

package server

import (
	"context"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// addNotifyingTools adds tools that say something before they answer. The suite
// describes pauses in between; without any it is harder for a transport to lose
// nothing.
func (f *conformanceFixtures) addNotifyingTools() {
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

func (f *conformanceFixtures) logging(messages ...string) server.ToolHandlerFunc {
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
func (f *conformanceFixtures) reportProgress(ctx context.Context, request mcp.CallToolRequest, steps ...int) error {
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
