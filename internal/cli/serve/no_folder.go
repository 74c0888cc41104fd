package serve

import (
	"context"
	"fmt"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// noFolder stands for a delivery method or a journal whose folder is not known. The
// server starts all the same: calls that change nothing need no folder.
type noFolder struct {
	method string
	err    error
}

// newNoFolder returns one for method. flag names the folder in place of the user's
// data folder.
func newNoFolder(method, flag string, err error) *noFolder {
	return &noFolder{method, fmt.Errorf("%w, or name a folder with --%s (%s)", err, flag, command.VariableName(flag))}
}

// Method implements tokens.Deliverer.
func (n *noFolder) Method() string { return n.method }

// Check implements tokens.Deliverer and always fails.
func (n *noFolder) Check(context.Context) error { return n.err }

// Deliver implements tokens.Deliverer and always fails.
func (n *noFolder) Deliver(context.Context, tools.Caller, *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{}, n.err
}

// Begin implements tokens.Journal and always fails, so that nothing is made.
func (n *noFolder) Begin(context.Context, tools.Caller, tokens.Intent) (tokens.JournalEntry, error) {
	return nil, fmt.Errorf("the journal of new tokens has no folder: %w", n.err)
}

// Recover implements tokens.Journal. Without a folder nothing was noted.
func (*noFolder) Recover(context.Context, tools.Caller) ([]tokens.Recovered, error) { return nil, nil }

// Close does nothing.
func (*noFolder) Close() error { return nil }
