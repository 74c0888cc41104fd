package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools/identity"
)

func newWhoamiCommand() *cobra.Command {
	var connecting connectionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Tell as whom calls run, and with which token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConnection(cmd, &connecting, func(ctx context.Context, c *connection) error {
				caller, err := c.caller(ctx)
				if err != nil {
					return err
				}
				now := time.Now()
				who, err := identity.Identify(ctx, caller, c.api.BaseURL(), now)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), who)
				}
				return printLabelled(cmd, who.Text(now))
			})
		},
	}
	connecting.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printLabelled prints lines of the form "label: text" with the labels dimmed.
func printLabelled(cmd *cobra.Command, text string) error {
	out := cmd.OutOrStdout()
	style := terminal.StyleFor(out)
	for _, line := range strings.Split(text, "\n") {
		label, rest, found := strings.Cut(line, ": ")
		if found {
			paint := style.Dim
			if label == "warning" {
				paint = style.Warn
			}
			line = paint(label+":") + " " + rest
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}
