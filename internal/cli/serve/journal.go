package serve

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/human/journal"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// noJournal is the --journal-dir that leaves the journal out.
const noJournal = "none"

// journalFlags are about what is remembered of new tokens until a person holds
// them.
type journalFlags struct {
	dir string
	// oneUser tells that all calls run as the same user.
	oneUser bool
}

func (f *journalFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Delivery)()
	cmd.Flags().StringVar(&f.dir, "journal-dir", "", `folder of the journal of undelivered tokens, or "none" (default in your data folder)`)
}

// closingJournal is the journal of a server, which has to be closed.
type closingJournal interface {
	tokens.Journal
	io.Closer
}

// open returns the journal for c, nil where there is nothing to remember or the
// operator wants none. Nothing is read or written before a tool is called.
func (f *journalFlags) open(c *connect.Connection) (closingJournal, error) {
	dir := f.dir
	switch {
	case c.JournalName == "", dir == noJournal:
		return nil, nil
	case dir == "":
		var err error
		if dir, err = command.DataFolder("journal"); err != nil {
			return newNoFolder("journal", "journal-dir", err), nil
		}
	}
	return journal.New(journal.Config{Dir: dir, API: c.JournalName, OneUser: f.oneUser})
}
