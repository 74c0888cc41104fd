package authority

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// roleRow is a role as authority roles --json prints it.
type roleRow struct {
	Role        authority.Role `json:"role"`
	Permissions []string       `json:"permissions"`
}

func newAuthorityRolesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "roles",
		Short: "Show the permissions of each role",
		Long: `roles shows the permissions of each role. A token has all permissions of its
user's role, unless it is narrowed to some of them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				rows := []roleRow{}
				for _, role := range domain.Roles() {
					rows = append(rows, roleRow{Role: role, Permissions: role.Permissions()})
				}
				return command.PrintJSON(cmd.OutOrStdout(), rows)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, cells := range RolesTable() {
				if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
					return err
				}
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// RolesTable has a row for each permission and a column for each role.
func RolesTable() [][]string {
	head := []string{"PERMISSION"}
	for _, role := range domain.Roles() {
		head = append(head, strings.ToUpper(string(role)))
	}
	rows := [][]string{head}
	for _, permission := range domain.Permissions() {
		cells := []string{permission}
		for _, role := range domain.Roles() {
			held := "-"
			if slices.Contains(role.Permissions(), permission) {
				held = "yes"
			}
			cells = append(cells, held)
		}
		rows = append(rows, cells)
	}
	return rows
}
