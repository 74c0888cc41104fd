package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/demo"
	"github.com/kenbun/kenbun-mcp/internal/human/pages"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// demoTimeout ends a demonstration that hangs.
const demoTimeout = 3 * time.Minute

func newDemoCommand() *cobra.Command {
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what an assistant can do, without an account",
		Long: `demo starts a kenbun API and the MCP server, speaks MCP with it as an assistant
would, and shows the conversation. It leaves nothing behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			executable, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			return demo.Run(ctx, demo.Config{
				Executable: executable,
				Browser:    !noBrowser && browserIsThere(),
				Out:        cmd.OutOrStdout(),
				Style:      terminal.StyleFor(cmd.OutOrStdout()),
			})
		},
	}
	defer command.Settings(cmd.Flags(), command.Delivery)()
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "do not open a page, and write the new token to a file")
	return cmd
}

func browserIsThere() bool {
	_, err := pages.FindBrowser("") // only whether there is one
	return err == nil
}
