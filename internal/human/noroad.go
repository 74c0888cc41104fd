package human

import (
	"context"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// NoRoad is for a server from which no road leads to the person: it refuses
// before anything is made.
type NoRoad struct{}

// Road implements tokens.Deliverer.
func (NoRoad) Road() string { return "none" }

// Check implements tokens.Deliverer and always fails.
func (NoRoad) Check(context.Context) error {
	return &tools.Error{
		Code:    tools.CodeCannotDeliver,
		Message: "this server has no road by which a new token could reach the person",
		Next:    "The user can make one in kenbun under Settings > Integrations > Personal Tokens.",
	}
}

// Deliver implements tokens.Deliverer and always fails.
func (n NoRoad) Deliver(ctx context.Context, _ tools.Caller, _ *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{}, n.Check(ctx)
}
