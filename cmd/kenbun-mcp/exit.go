package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// The exit codes are part of the command's interface: scripts rely on them.
const (
	exitDone             = 0
	exitFailed           = 1
	exitUsage            = 2
	exitUnauthenticated  = 3
	exitAPIOutOfReach    = 4
	exitRefused          = 5
	startedAnnotation    = "kenbun-mcp/started"
	startedAnnotationSet = "yes"
)

// errRefused marks what a person or a policy said no to.
var errRefused = errors.New("refused")

// usageError is a call whose words are wrong, as opposed to one that failed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

func isUsageError(err error) bool {
	var usage *usageError
	return errors.As(err, &usage)
}

func exitCode(err error) int {
	var tool *tools.Error
	if errors.As(err, &tool) {
		switch tool.Code {
		case tools.CodeDeclined, tools.CodeNeedsPerson:
			return exitRefused
		case tools.CodeInvalidArgument:
			return exitUsage
		}
	}
	switch {
	case err == nil:
		return exitDone
	case isUsageError(err):
		return exitUsage
	case errors.Is(err, errRefused):
		return exitRefused
	case errors.Is(err, client.ErrUnauthenticated), errors.Is(err, errNoToken):
		return exitUnauthenticated
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrIntermediary), errors.Is(err, context.DeadlineExceeded):
		return exitAPIOutOfReach
	default:
		return exitFailed
	}
}

// explain tells a person at a terminal what happened and what to do. A tool's
// error keeps its cause from models; here it is wanted.
func explain(err error) string {
	var outcome *client.CreateError // has more to say
	if errors.Is(err, context.Canceled) && !errors.As(err, &outcome) {
		return "stopped before it was done"
	}
	var tool *tools.Error
	if !errors.As(err, &tool) {
		return err.Error()
	}
	text := tool.Message
	var api *client.Error
	if errors.As(err, &api) {
		text += detail(tool, api)
	}
	if tool.Next != "" && tool.Code != tools.CodeDeclined {
		text += "\n" + forTerminal(tool.Next)
	}
	return text
}

// detail tells what the tool's words leave out of the API's error.
func detail(tool *tools.Error, api *client.Error) string {
	if api.Cause == client.CauseAPI || !strings.Contains(tool.Message, api.Reason) {
		return " (" + api.Error() + ")"
	}
	var text string
	switch {
	case api.Status != 0 && api.RequestID != "":
		text = fmt.Sprintf(" (status %d, request id %s)", api.Status, api.RequestID)
	case api.Status != 0:
		text = fmt.Sprintf(" (status %d)", api.Status)
	}
	if tool.Said != "" {
		text += "\n" + tool.Said
	}
	return text
}

// forTerminal puts the commands of a terminal for the tools that models call.
var forTerminal = strings.NewReplacer(
	`list_tokens with status "all"`, "'kenbun-mcp tokens list --status all'",
	"list_tokens", "'kenbun-mcp tokens list'",
	"create_token", "'kenbun-mcp tokens create'",
	"rotate_token", "'kenbun-mcp tokens rotate'",
).Replace

// markStarted records that cobra accepted the call's words, so that run can
// tell a wrong call from one that failed.
func markStarted(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[startedAnnotation] = startedAnnotationSet
}

func hasStarted(cmd *cobra.Command) bool {
	return cmd != nil && cmd.Annotations[startedAnnotation] == startedAnnotationSet
}
