// Package command has what all commands share: exit codes and errors, flags and
// their environment variables, output, and the checks for what only a user at a
// terminal may do.
package command

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/credential"
	"github.com/kenbun/kenbun-mcp/tools"
)

// The exit codes are part of the command's interface: scripts rely on them.
const (
	ExitDone             = 0
	ExitFailed           = 1
	ExitUsage            = 2
	ExitUnauthenticated  = 3
	ExitAPIOutOfReach    = 4
	ExitRefused          = 5
	startedAnnotation    = "kenbun-mcp/started"
	startedAnnotationSet = "yes"
)

// ErrRefused marks what a person or a policy said no to.
var ErrRefused = errors.New("refused")

// usageError is a call whose words are wrong, as opposed to one that failed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usagef returns an error for a call whose words are wrong.
func Usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// IsUsageError reports whether the words of the call are wrong.
func IsUsageError(err error) bool {
	var usage *usageError
	return errors.As(err, &usage)
}

// ExitCode returns the exit code that err stands for.
func ExitCode(err error) int {
	var tool *tools.Error
	if errors.As(err, &tool) {
		switch tool.Code {
		case tools.CodeDeclined, tools.CodeNeedsPerson:
			return ExitRefused
		case tools.CodeInvalidArgument:
			return ExitUsage
		}
	}
	switch {
	case err == nil:
		return ExitDone
	case IsUsageError(err):
		return ExitUsage
	case errors.Is(err, ErrRefused):
		return ExitRefused
	case errors.Is(err, client.ErrUnauthenticated), errors.Is(err, ErrNoToken):
		return ExitUnauthenticated
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrIntermediary), errors.Is(err, context.DeadlineExceeded):
		return ExitAPIOutOfReach
	default:
		return ExitFailed
	}
}

// Explain tells a person at a terminal what happened and what to do. A tool's
// error keeps its cause from models; here it is wanted.
func Explain(err error) string {
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

// MarkStarted records that cobra accepted the call's words, so that run can
// tell a wrong call from one that failed.
func MarkStarted(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[startedAnnotation] = startedAnnotationSet
}

// HasStarted reports whether cobra accepted the words of the call.
func HasStarted(cmd *cobra.Command) bool {
	return cmd != nil && cmd.Annotations[startedAnnotation] == startedAnnotationSet
}

// ErrNoToken is wrapped where no token was given.
var ErrNoToken = credential.ErrNone

// releaseVersion is set by the linker when a release is built.
var releaseVersion = ""

// Version returns the version of this program, or "dev".
func Version() string {
	if releaseVersion != "" {
		return releaseVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
