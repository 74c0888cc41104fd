package tools

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// The outcomes of a call beside the error codes.
const (
	// OutcomeOK is a call that was answered.
	OutcomeOK = "ok"
	// OutcomeInputRequired is a call that was answered with a question; its answer
	// comes as another call.
	OutcomeInputRequired = "input_required"
)

// Outcomes are all that a call can end with: [OutcomeOK],
// [OutcomeInputRequired] and every [Code].
func Outcomes() []string {
	outcomes := []string{OutcomeOK, OutcomeInputRequired}
	for _, code := range Codes() {
		outcomes = append(outcomes, string(code))
	}
	return outcomes
}

// Observer is told of each tool call when it ends: the tool, one of [Outcomes],
// and how long it took, the time in which a person was asked included. It is
// called by many at once, with the call's context.
type Observer interface {
	ToolCalled(ctx context.Context, tool, outcome string, took time.Duration)
}

// observed tells the observer how a call ended.
func (b *Toolbox) observed(ctx context.Context, tool *Tool, handle func() (*mcp.CallToolResult, string)) *mcp.CallToolResult {
	if b.observer == nil {
		answer, _ := handle()
		return answer
	}
	started := time.Now()
	answer, outcome := handle()
	b.observer.ToolCalled(ctx, tool.Name, outcome, time.Since(started))
	return answer
}

type requestIDKey struct{}

// NewRequestID returns a number for a request: 80 random bits in 16 characters
// out of A to Z and 2 to 7.
func NewRequestID() string { return rand.Text()[:16] }

// WithRequestID says to which request what happens under ctx belongs. The
// transport makes the id; a client's own number would not tell two clients
// apart.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the request that ctx belongs to, "" where there is
// none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
