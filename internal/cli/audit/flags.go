package audit

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// onStream is the --audit-log that goes to a stream of the process.
const onStream = "-"

// Flags say where the operator's log of changes goes.
type Flags struct{ path string }

// Add adds the flags to cmd. stream names the stream that "-" stands for.
func (f *Flags) Add(cmd *cobra.Command, stream string) {
	defer command.Settings(cmd.Flags(), command.Logging)()
	cmd.Flags().StringVar(&f.path, "audit-log", "", `file for the audit log, or "-" for `+stream+` (default none)`)
}

// Open returns the log, which c closes after everything that writes to it, or
// nil where the operator wants none.
func (f *Flags) Open(c *connect.Connection, stream io.Writer, logger *slog.Logger) (audit.Log, error) {
	if f.path == "" {
		return nil, nil
	}
	log := auditlog.NewStream(stream, logger)
	if f.path != onStream {
		var err error
		if log, err = auditlog.OpenFile(f.path, logger); err != nil {
			return nil, err
		}
	}
	c.AlsoClose(log.Close)
	return log, nil
}
