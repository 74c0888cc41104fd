package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
)

func newTokensRotateCommand() *cobra.Command {
	var connecting connectionFlags
	var expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace one of your personal access tokens by a new one",
		Long: `rotate makes a new token of the same name, prints its value, once, alone on
standard output, sees that it works, and only then revokes the old one. It asks
at the terminal first.

The token that this program itself runs on is replaced where it is kept, if that
is a file or the keychain; its value is not printed then.`,
		Example: `  kenbun-mcp tokens rotate pat_abc123
  kenbun-mcp tokens rotate pat_abc123 --expires 30d | pbcopy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withConnection(cmd, &connecting, func(ctx context.Context, c *connection) error {
				arguments := map[string]any{"id": args[0]}
				if expires != "" {
					arguments["expires"] = expires
				}
				return rotate(ctx, cmd, c, arguments, asJSON)
			})
		},
	}
	connecting.add(cmd)
	cmd.Flags().StringVar(&expires, "expires", "", `when the new one ends: days such as 30d, an RFC 3339 time, or "never" (default the same lifetime again)`)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the new token as JSON, the value included")
	return cmd
}

// rotate runs the tool's own steps, with the terminal as the road to the person.
func rotate(ctx context.Context, cmd *cobra.Command, c *connection, arguments map[string]any, asJSON bool) error {
	screen := &terminalPerson{in: cmd.InOrStdin(), out: cmd.OutOrStdout(), messages: cmd.ErrOrStderr(), asJSON: asJSON}
	toolbox, err := tools.New(tools.Config{
		Callers:       terminalCallers{c},
		Deliverer:     screen,
		Person:        screen,
		Keeper:        c.keeper,
		Policy:        ownPolicy(),
		APIAddress:    c.api.BaseURL(),
		TerminalFlags: c.terminalFlags,
	})
	if err != nil {
		return err
	}
	_, text, err := toolbox.Run(ctx, "rotate_token", arguments)
	var refused *tools.Error
	if errors.As(err, &refused) && refused.Code == tools.CodeNeedsPerson {
		return fmt.Errorf("%w: rotating cannot be undone, so that it is asked for at a terminal; run this command in one", errRefused)
	}
	if err != nil {
		return err
	}
	cmd.PrintErrln(text)
	return nil
}

// ownPolicy is the ceiling of a person at their own terminal: what kenbun
// allows.
func ownPolicy() tools.Policy {
	policy := tools.DefaultPolicy()
	policy.MaxTokenLifetime = 36500 * 24 * time.Hour
	policy.MaxChangesPerMinute = 0
	policy.AllowNeverExpiring = true
	policy.AllowSelfRevoke = true
	return policy
}

type terminalCallers struct{ connection *connection }

func (t terminalCallers) Caller(ctx context.Context) (tools.Caller, error) {
	return t.connection.caller(ctx)
}

// terminalPerson is the person at the terminal: asked there, and shown new
// tokens there.
type terminalPerson struct {
	in            io.Reader
	out, messages io.Writer
	// asJSON has the new token printed as JSON.
	asJSON bool
}

// Decide implements tools.Person.
func (p *terminalPerson) Decide(ctx context.Context, question tools.Question, _ time.Duration) error {
	yes, err := terminal.Confirm(ctx, p.in, p.messages, question.Text()+"\n\n"+question.Agree+"?")
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return tools.ErrUnreachable
	case err != nil:
		return err
	case !yes:
		return tools.ErrDeclined
	}
	return nil
}

// Way implements tools.Person.
func (*terminalPerson) Way() tools.Way { return tools.WayTerminal }

// Road implements tools.Deliverer.
func (p *terminalPerson) Road() string { return "terminal" }

// Check implements tools.Deliverer.
func (p *terminalPerson) Check(context.Context) error { return nil }

// show prints the new token, before anything happens to the old one.
func (p *terminalPerson) show(token *client.CreatedToken) error {
	if p.asJSON {
		return printTokenJSON(p.out, token)
	}
	_, err := fmt.Fprintln(p.out, token.Value.Reveal())
	return err
}

// Deliver implements tools.Deliverer.
func (p *terminalPerson) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (tools.Receipt, error) {
	if err := p.show(token); err != nil {
		return tools.Receipt{}, fmt.Errorf("the value could not be shown: %w", err)
	}
	return tools.Receipt{Road: p.Road(), Note: "The value is on standard output. It is shown only now."}, nil
}
