package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/tools"
)

// dataFolder is the path of one of this program's folders in the user's data
// folder. It does not make it.
func dataFolder(name string) (string, error) {
	dir, err := settings.DataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

// noFolder stands for a delivery method or a journal whose folder is not known. The
// server starts all the same: calls that change nothing need no folder.
type noFolder struct {
	method string
	err    error
}

// newNoFolder returns one for method. flag names the folder in place of the user's
// data folder.
func newNoFolder(method, flag string, err error) *noFolder {
	return &noFolder{method, fmt.Errorf("%w, or name a folder with --%s (%s)", err, flag, environmentName(flag))}
}

// Road implements tools.Deliverer.
func (n *noFolder) Road() string { return n.method }

// Check implements tools.Deliverer and always fails.
func (n *noFolder) Check(context.Context) error { return n.err }

// Deliver implements tools.Deliverer and always fails.
func (n *noFolder) Deliver(context.Context, tools.Caller, *client.CreatedToken) (tools.Receipt, error) {
	return tools.Receipt{}, n.err
}

// Begin implements tools.Journal and always fails, so that nothing is made.
func (n *noFolder) Begin(context.Context, tools.Caller, tools.Intent) (tools.JournalEntry, error) {
	return nil, fmt.Errorf("the journal of new tokens has no folder: %w", n.err)
}

// Recover implements tools.Journal. Without a folder nothing was noted.
func (*noFolder) Recover(context.Context, tools.Caller) ([]tools.Recovered, error) { return nil, nil }

// Close does nothing.
func (*noFolder) Close() error { return nil }
