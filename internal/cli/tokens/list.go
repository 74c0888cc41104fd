package tokens

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// maxListed bounds the tokens that are listed at once, and with them the memory
// that the list takes.
const maxListed = 100_000

func newTokensListCommand() *cobra.Command {
	var connecting connect.Flags
	var filter tokens.Filter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your personal access tokens",
		Example: `  kenbun-mcp tokens list
  kenbun-mcp tokens list --unused-days 90
  kenbun-mcp tokens list --status all --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if filter.Status == "" {
				filter.Status = string(client.StatusActive)
			}
			if !slices.Contains(tokens.Statuses, filter.Status) {
				return command.Usagef("--status cannot be %q; use one of %s", filter.Status, strings.Join(tokens.Statuses, ", "))
			}
			if filter.UnusedDays < 0 || filter.ExpiresWithinDays < 0 {
				return command.Usagef("a number of days cannot be less than 0")
			}
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				caller, err := c.Caller(ctx)
				if err != nil {
					return err
				}
				now := time.Now()
				page := tokens.NewPage(filter, now, maxListed)
				if err := caller.API.ReadTokens(ctx, page.Begin); err != nil {
					return err
				}
				listed, left := page.Items()
				rows := []tokens.Row{}
				for _, token := range listed {
					rows = append(rows, tokens.NewRow(token, now, caller.TokenPrefix))
				}
				if left > 0 {
					cmd.PrintErrf("warning: these are the newest %d tokens; %d older ones are left out. A filter such as --name or --unused-days finds them.\n", len(rows), left)
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), rows)
				}
				return printTokens(cmd, rows, page.Total(), now)
			})
		},
	}
	connecting.Add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&filter.Status, "status", string(client.StatusActive), "status of the tokens: "+strings.Join(tokens.Statuses, ", "))
	flags.IntVar(&filter.UnusedDays, "unused-days", 0, "only tokens not used for this many days")
	flags.IntVar(&filter.ExpiresWithinDays, "expires-within-days", 0, "only tokens that expire within this many days")
	flags.StringVar(&filter.Name, "name", "", "only tokens whose name contains this text")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printTokens(cmd *cobra.Command, rows []tokens.Row, total int, now time.Time) error {
	out := cmd.OutOrStdout()
	style := terminal.StyleFor(out)
	if len(rows) == 0 {
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "No token matches (of %d).\n", total)
		return err
	}
	table := terminal.Table{Columns: []terminal.Column{
		{Title: "NAME", Shrink: true}, {Title: "PREFIX"}, {Title: "STATUS"}, {Title: "LAST USED"}, {Title: "EXPIRES"}, {Title: "ID"},
	}}
	isNarrowed := slices.ContainsFunc(rows, func(row tokens.Row) bool { return row.Permissions != nil })
	if isNarrowed {
		table.Columns = append(table.Columns, terminal.Column{Title: "PERMISSIONS"})
	}
	width := terminal.Width(out)
	words := tableWords{prefix: "kbn_pat_", inUse: "active, in use here", mayBeInUse: "active, perhaps in use here", neverUsed: "never used", neverExpires: "never expires", when: humantime.Relative}
	if width > 0 && width < roomyWidth {
		words = tableWords{inUse: "in use", mayBeInUse: "in use?", neverUsed: "never", neverExpires: "never", when: humantime.Short}
	}
	for _, row := range rows {
		status := terminal.Cell{Text: strings.ReplaceAll(row.Status, "_", " ")}
		switch {
		case row.MayBeInUse && row.Status == string(client.StatusActive):
			status = terminal.Cell{Text: words.mayBeInUse, Paint: style.Warn}
		case row.InUse && row.Status == string(client.StatusActive):
			status = terminal.Cell{Text: words.inUse, Paint: style.Good}
		case row.Status != string(client.StatusActive):
			status.Paint = style.Dim
		}
		table.Rows = append(table.Rows, []terminal.Cell{
			{Text: row.Name, Paint: style.Bold},
			{Text: words.prefix + strings.TrimPrefix(row.Prefix, "kbn_pat_")},
			status,
			timeCell(row.LastUsedAt, words.neverUsed, words.when, now, style),
			timeCell(row.ExpiresAt, words.neverExpires, words.when, now, style),
			{Text: row.ID},
		})
		if isNarrowed {
			last := len(table.Rows) - 1
			table.Rows[last] = append(table.Rows[last], terminal.Cell{Text: permissionCell(row.Permissions)})
		}
	}
	return table.Write(out, width, style)
}

// permissionCell tells permissions in few columns; nil is all of the role's.
func permissionCell(names []string) string {
	switch {
	case names == nil:
		return "all"
	case len(names) == 0:
		return "none"
	}
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// roomyWidth is from how many columns on the table's words can be whole ones.
const roomyWidth = 110

// tableWords are long or short, as there is room.
type tableWords struct {
	prefix, inUse, mayBeInUse, neverUsed, neverExpires string
	when                                               func(t, now time.Time) string
}

// timeCell tells a time as people say it; never is what is worth a second look.
func timeCell(stamp, never string, when func(t, now time.Time) string, now time.Time, style terminal.Style) terminal.Cell {
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return terminal.Cell{Text: never, Paint: style.Warn}
	}
	return terminal.Cell{Text: when(at, now)}
}
