// Package toolsets lists the toolsets, and joins them with their surroundings.
package toolsets

import (
	"errors"
	"log/slog"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/identity"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// list holds every toolset, in the order in which they are documented.
func list(manager *tokens.Manager) []*tools.Toolset {
	return []*tools.Toolset{
		identity.Toolset(manager.Notices),
		manager.Toolset(),
	}
}

// All returns every toolset, to be read. To run the tools use [New].
func All() []*tools.Toolset { return list(tokens.New(tokens.Config{})) }

// Config is what a toolbox with all toolsets is made from.
type Config struct {
	// Callers finds out which user a call acts as. Required.
	Callers tools.Callers
	// Deliverer is how new secrets reach the user. Required.
	Deliverer tokens.Deliverer
	// ApprovalMethod is asked where the client cannot ask. Nil: nobody is.
	ApprovalMethod approval.Method
	// Connector lets the user give a token where there is none. Nil: the tools only
	// say how to give one.
	Connector approval.TokenPage
	// Keeper keeps the token that the server itself runs on. Nil: the server has
	// none, or none that it could change.
	Keeper tokens.Keeper
	// Journal remembers tokens on their way to a user. Nil: nothing does, and a crash
	// in between leaves a token that nobody holds.
	Journal tokens.Journal
	// Auditor keeps what was changed for the operator. Nil: nobody does.
	Auditor audit.Log
	// StateKey seals what a server has to remember of a question while the client
	// has it: 32 bytes, the same for all replicas of a server. Nil: a random one.
	StateKey []byte
	// Once reports whether an answer comes for the first time, among all replicas of
	// a server. Nil: this process remembers by itself.
	Once approval.Once
	// Shared keeps what all replicas of a server count together. Nil: it is kept in
	// the memory of this process.
	Shared approval.Store
	// Policy is what the operator allows at most.
	Policy tools.Policy
	// Extensions means that the API can do what kenbun does not document: narrow a
	// token, make it valid later, change it.
	Extensions bool
	// APIAddress is the API's base URL, as whoami shows it.
	APIAddress string
	// TerminalFlags are the flags with which a user reaches the same API from a
	// terminal, such as " --embedded".
	TerminalFlags string
	// Patience is how long a call waits for the user before it answers that the
	// question is open. Zero: [tools.DefaultPatience].
	Patience time.Duration
	// Observer is told how calls end. Nil: nobody is.
	Observer tools.Observer
	// Logger takes what must not go to a model. Nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// New returns a toolbox with all toolsets. It fails on an invalid policy.
func New(config Config) (*tools.Toolbox, error) {
	if config.Callers == nil || config.Deliverer == nil {
		return nil, errors.New("a toolbox needs to know who calls and how to deliver")
	}
	approver, err := approval.New(approval.Config{
		Method: config.ApprovalMethod, StateKey: config.StateKey, Once: config.Once, Shared: config.Shared, Logger: config.Logger, Now: config.Now,
	})
	if err != nil {
		return nil, err
	}
	box := tools.Config{
		Callers: config.Callers,
		Toolsets: list(tokens.New(tokens.Config{
			Deliverer: config.Deliverer, Approver: approver, Keeper: config.Keeper, Journal: config.Journal, Shared: config.Shared, Now: config.Now,
		})),
		Auditor: config.Auditor, Policy: config.Policy, Extensions: config.Extensions, APIAddress: config.APIAddress,
		TerminalFlags: config.TerminalFlags, Patience: config.Patience, Observer: config.Observer, Logger: config.Logger, Now: config.Now,
	}
	if config.Shared != nil {
		box.Shared = config.Shared
	}
	if config.Connector != nil {
		box.Connector = approver.Connector(config.Connector, config.Callers)
	}
	return tools.New(box)
}
