// Package delivery has the methods by which a new token reaches its user without a
// page: into a file, a line of an .env file or the keychain, sealed, or in the
// tool's answer.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// First takes the first of several roads that is open. Which one it is is
// found out at each Check, and holds until the next.
type First struct {
	roads []tokens.Deliverer
	taken atomic.Pointer[tokens.Deliverer]
}

// NewFirst returns the roads, the best one first.
func NewFirst(roads ...tokens.Deliverer) *First { return &First{roads: roads} }

// Method implements tokens.Deliverer.
func (f *First) Method() string {
	if road := f.taken.Load(); road != nil {
		return (*road).Method()
	}
	return "none"
}

// Check looks for an open road. Its error tells what is wrong with each.
func (f *First) Check(ctx context.Context) error {
	var closed []error
	for i := range f.roads {
		err := f.roads[i].Check(ctx)
		if err == nil {
			f.taken.Store(&f.roads[i])
			return nil
		}
		closed = append(closed, fmt.Errorf("%s: %w", f.roads[i].Method(), err))
	}
	return errors.Join(closed...)
}

// Waits implements tokens.Receiver for the road that Check found: zero if that does not.
func (f *First) Waits() time.Duration {
	if road := f.taken.Load(); road != nil {
		if receiver, ok := (*road).(tokens.Receiver); ok {
			return receiver.Waits()
		}
	}
	return 0
}

// Expect implements tokens.Receiver for the road that Check found.
func (f *First) Expect(ctx context.Context, want client.NewToken) (tokens.Pickup, error) {
	road := f.taken.Load()
	if road == nil {
		return nil, errors.New("no delivery method was found to work before")
	}
	receiver, ok := (*road).(tokens.Receiver)
	if !ok {
		return nil, errors.New("the delivery method that works does not wait for the user")
	}
	return receiver.Expect(ctx, want)
}

// Deliver takes the road that Check found.
func (f *First) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	road := f.taken.Load()
	if road == nil {
		return tokens.Receipt{}, errors.New("no delivery method was found to work before")
	}
	return (*road).Deliver(ctx, caller, token)
}

// None is for a server from which no road leads to the person: it refuses
// before anything is made.
type None struct{}

// Method implements tokens.Deliverer.
func (None) Method() string { return "none" }

// Check implements tokens.Deliverer and always fails.
func (None) Check(context.Context) error {
	return &tools.Error{
		Code:    tools.CodeCannotDeliver,
		Message: "this server has no method to deliver a new token to the user",
		Next:    "The user can make one in kenbun under Settings > Integrations > Personal Tokens.",
	}
}

// Deliver implements tokens.Deliverer and always fails.
func (n None) Deliver(ctx context.Context, _ tools.Caller, _ *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{}, n.Check(ctx)
}

// Inline puts a new token's value into the tool's answer, where the model and
// every transcript can read it. It exists for operators whose clients are
// programs; it is never a default.
type Inline struct{}

// Method implements tokens.Deliverer.
func (Inline) Method() string { return "inline" }

// Check implements tokens.Deliverer: an answer can always be given.
func (Inline) Check(context.Context) error { return nil }

// Deliver implements tokens.Deliverer.
func (Inline) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{
		Method: "inline",
		Note:   "WARNING: the operator of this server chose to show new tokens to the model. The value is in this answer and in every record of this conversation. Treat it as known to anyone who can read those.",
		Value:  token.Value.Reveal(),
	}, nil
}

// Facts returns what a user should know of a new token. date formats a time.
func Facts(token *client.Token, date func(time.Time) string) []approval.Fact {
	row := tokens.NewRow(token, time.Now(), "")
	expires := "never"
	if token.ExpiresAt != nil {
		expires = date(*token.ExpiresAt)
	}
	facts := []approval.Fact{{Label: "Name", Value: row.Name}}
	if row.Prefix != "" {
		facts = append(facts, approval.Fact{Label: "Begins with", Value: row.Prefix})
	}
	facts = append(facts, approval.Fact{Label: "Expires", Value: expires})
	if token.ValidFrom != nil {
		facts = append(facts, approval.Fact{Label: "Valid from", Value: date(*token.ValidFrom)})
	}
	if row.Permissions != nil {
		facts = append(facts, approval.Fact{Label: "Permissions", Value: row.PermissionWords()})
	}
	return facts
}
