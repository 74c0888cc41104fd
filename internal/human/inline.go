package human

import (
	"context"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// Inline puts a new token's value into the tool's answer, where the model and
// every transcript can read it. It exists for operators whose clients are
// programs; it is never a default.
type Inline struct{}

// Road implements tokens.Deliverer.
func (Inline) Road() string { return "inline" }

// Check implements tokens.Deliverer: an answer can always be given.
func (Inline) Check(context.Context) error { return nil }

// Deliver implements tokens.Deliverer.
func (Inline) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{
		Road:  "inline",
		Note:  "WARNING: the operator of this server chose to show new tokens to the model. The value stands in this answer and in every record of this conversation: treat it as known to whoever can read those.",
		Value: token.Value.Reveal(),
	}, nil
}
