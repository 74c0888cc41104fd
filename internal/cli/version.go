package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return command.PrintJSON(cmd.OutOrStdout(), map[string]string{
					"version":  command.Version(),
					"go":       runtime.Version(),
					"platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kenbun-mcp %s (%s, %s/%s)\n",
				command.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
