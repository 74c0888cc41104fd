// Package tokens has the tokens commands.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// NewCommand returns the tokens command with its subcommands.
func NewCommand() *cobra.Command {
	return command.Parent(&cobra.Command{
		Use:   "tokens",
		Short: "Manage your personal access tokens",
	}, newTokensListCommand(), newTokensCreateCommand(), newTokensRevokeCommand(), newTokensRotateCommand(), newTokensUpdateCommand())
}

// runTool runs a tool for the user at the terminal, who is asked there.
func runTool(ctx context.Context, c *connect.Connection, screen *terminalPerson, tool string, arguments map[string]any) (structured any, text string, err error) {
	toolbox, err := toolsets.New(toolsets.Config{
		Callers:        terminalCallers{c},
		Deliverer:      screen,
		ApprovalMethod: screen,
		Keeper:         c.Keeper,
		Policy:         ownPolicy(),
		// The API refuses what it does not support.
		Extensions:    true,
		APIAddress:    c.API.BaseURL(),
		TerminalFlags: c.TerminalFlags,
	})
	if err != nil {
		return nil, "", err
	}
	structured, text, err = toolbox.Run(ctx, tool, arguments)
	var refused *tools.Error
	if errors.As(err, &refused) && refused.Code == tools.CodeNeedsPerson {
		return nil, "", fmt.Errorf("%w: this needs your answer at a terminal, and there is none. Run the command in a terminal", command.ErrRefused)
	}
	return structured, text, err
}

// ownPolicy is the policy of a user at their own terminal: everything that kenbun
// allows.
func ownPolicy() tools.Policy {
	policy := tools.DefaultPolicy()
	policy.MaxTokenLifetime = math.MaxInt64
	policy.MinTokenLifetime = 0
	policy.MaxChangesPerMinute = 0
	policy.MaxTokensPerDay = 0
	policy.AllowNeverExpiring = true
	policy.AllowSelfRevoke = true
	return policy
}

type terminalCallers struct{ connection *connect.Connection }

func (t terminalCallers) Caller(ctx context.Context) (tools.Caller, error) {
	return t.connection.Caller(ctx)
}

// terminalPerson is the user at the terminal, who is asked and shown new tokens
// there.
type terminalPerson struct {
	in            io.Reader
	out, messages io.Writer
	// show prints a new token, before anything happens to an old one.
	show func(*client.CreatedToken) error
}

// newTerminalPerson returns the user at cmd's terminal. They are shown the value of a
// new token, or the whole token as JSON.
func newTerminalPerson(cmd *cobra.Command, asJSON bool) *terminalPerson {
	p := &terminalPerson{in: cmd.InOrStdin(), out: cmd.OutOrStdout(), messages: cmd.ErrOrStderr()}
	p.show = func(token *client.CreatedToken) error {
		if asJSON {
			return printTokenJSON(p.out, token)
		}
		_, err := fmt.Fprintln(p.out, token.Value.Reveal())
		return err
	}
	return p
}

// Decide implements approval.Method.
func (p *terminalPerson) Decide(ctx context.Context, question approval.Question, _ time.Duration) error {
	if !terminal.Is(p.messages) {
		return approval.ErrUnreachable // nobody would see the question
	}
	yes, err := terminal.Confirm(ctx, p.in, p.messages, question.Text()+"\n\n"+question.Agree+"?")
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return approval.ErrUnreachable
	case err != nil:
		return err
	case !yes:
		return approval.ErrDeclined
	}
	return nil
}

// Way implements approval.Method.
func (*terminalPerson) Way() audit.Way { return audit.WayTerminal }

// Method implements tokens.Deliverer.
func (p *terminalPerson) Method() string { return "terminal" }

// Check implements tokens.Deliverer.
func (p *terminalPerson) Check(context.Context) error { return nil }

// Deliver implements tokens.Deliverer.
func (p *terminalPerson) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	if err := p.show(token); err != nil {
		return tokens.Receipt{}, command.ValueLost(err)
	}
	return tokens.Receipt{Method: p.Method(), Note: "The value is on standard output. It is shown only once."}, nil
}
