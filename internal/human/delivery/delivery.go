// Package delivery implements the delivery methods without a page: into a file, a line of an
// .env file or the keychain, sealed, or in the tool's answer.
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

// First delivers by the first of several methods that works, as found at each Check.
type First struct {
	methods []tokens.Deliverer
	found   atomic.Pointer[tokens.Deliverer]
}

// NewFirst returns the methods, the best one first.
func NewFirst(methods ...tokens.Deliverer) *First { return &First{methods: methods} }

// Method implements tokens.Deliverer.
func (f *First) Method() string {
	if found := f.found.Load(); found != nil {
		return (*found).Method()
	}
	return "none"
}

// Check finds the method that works. Its error has the problem of each.
func (f *First) Check(ctx context.Context) error {
	var problems []error
	for i := range f.methods {
		err := f.methods[i].Check(ctx)
		if err == nil {
			f.found.Store(&f.methods[i])
			return nil
		}
		problems = append(problems, fmt.Errorf("%s: %w", f.methods[i].Method(), err))
	}
	return errors.Join(problems...)
}

// receiver returns the method that Check found, if it waits for the user.
func (f *First) receiver() (receiver tokens.Receiver, ok bool) {
	if found := f.found.Load(); found != nil {
		receiver, ok = (*found).(tokens.Receiver)
	}
	return receiver, ok
}

// Waits implements tokens.Receiver for the method that Check found, or returns zero.
func (f *First) Waits() time.Duration {
	if receiver, ok := f.receiver(); ok {
		return receiver.Waits()
	}
	return 0
}

// Expect implements tokens.Receiver for the method that Check found.
func (f *First) Expect(ctx context.Context, want client.NewToken) (tokens.Pickup, error) {
	if receiver, ok := f.receiver(); ok {
		return receiver.Expect(ctx, want)
	}
	return nil, errors.New("no delivery method was found that waits for the user")
}

// Deliver uses the method that Check found.
func (f *First) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	found := f.found.Load()
	if found == nil {
		return tokens.Receipt{}, errors.New("no delivery method was found to work before")
	}
	return (*found).Deliver(ctx, caller, token)
}

// None is for a server without a delivery method. It refuses before a token is made.
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

// Inline returns a new token's value in the tool's answer, where the model can read it. It is
// for operators whose clients are programs, and never a default.
type Inline struct{}

// Method implements tokens.Deliverer.
func (Inline) Method() string { return "inline" }

// Check implements tokens.Deliverer.
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
