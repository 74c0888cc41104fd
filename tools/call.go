package tools

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// Caller is the user that a call acts as.
type Caller struct {
	// API acts as this user.
	API *client.Caller
	// With returns the API as another token of the same user sees it, to find out
	// whether that token works.
	With func(pat client.Secret) *client.Caller
	// ID tells callers apart. It is a keyed hash of the credential, so that it can be
	// compared and logged.
	ID string
	// TokenPrefix is the public part of the token in use; empty if it has none.
	TokenPrefix string
	// TokenSource says where the token in use came from, such as "KENBUN_PAT" or "the
	// request". It is not a secret.
	TokenSource string
}

// CheckToken returns nil if the API accepts the token that api acts with. Errors are
// those of [client.Caller.ReadTokens].
func CheckToken(ctx context.Context, api *client.Caller) error {
	_, err := api.OrgUnits(ctx)
	if !client.AcceptsToken(err) && !errors.Is(err, client.ErrUnavailable) {
		// Not every answer about one endpoint is about the token.
		err = readList(ctx, api)
	}
	if client.AcceptsToken(err) {
		return nil
	}
	return err
}

// readList reads the user's tokens only to see whether the API accepts the token.
func readList(ctx context.Context, api *client.Caller) error {
	return api.ReadTokens(ctx, func() func(*client.Token) { return func(*client.Token) {} })
}

// Callers finds out which user a call acts as. Without a token it returns an *[Error]
// with [CodeUnauthenticated] that says how to give one. It never falls back to another
// user.
type Callers interface {
	Caller(ctx context.Context) (Caller, error)
}

// Connector asks the user for a token where a call has none.
type Connector interface {
	// Connect returns nil once there is a token. cause is why there is none. The error
	// is an *[Error], or an *[InputRequired] while the client asks.
	Connect(ctx context.Context, tool string, request mcp.CallToolRequest, cause error) error
}

// ErrNotConnected indicates that there is no token at all, and that the user could give
// one.
var ErrNotConnected = errors.New("no token was given")

// howToConnect says what to do when there is no usable token.
const howToConnect = "The user creates a personal access token in kenbun under Settings > Integrations > Personal Tokens, " +
	"and runs `kenbun-mcp login` in a terminal, or gives it to this server as KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND in the client's configuration; never in the conversation."

// Unauthenticated returns the error for a missing or malformed token. The text of cause
// is shown, so it must not contain the token.
func Unauthenticated(cause error) *Error {
	return NewError(CodeUnauthenticated, "%s", cause).Advise(howToConnect).Because(cause)
}

// Call is one tool call under way.
type Call struct {
	Tool *Tool
	Args Arguments
	// Caller is the user that the call acts as.
	Caller Caller
	// Request is the call as the client sent it, without its arguments and headers.
	Request mcp.CallToolRequest
	// RequestID is empty where the transport gives none.
	RequestID string
	// Now is when the call began.
	Now time.Time
	Log *slog.Logger
	// Trail collects the call's entries in the audit log.
	Trail audit.Trail
	// Undo takes back what would be lost if nobody gets the result. It may be nil.
	Undo func()

	box  *Toolbox
	work *work
	// accountKey is the account under which changes count. Empty: not known yet.
	accountKey string
	// stretch is how long the call works with the API at a stretch. endStretch ends the
	// context of the latest one.
	stretch    time.Duration
	endStretch context.CancelFunc
}

// Policy returns what the operator allows.
func (c *Call) Policy() Policy { return c.box.policy }

// Toolsets returns the toolsets that this API supports, including what the policy
// leaves out.
func (c *Call) Toolsets() []*Toolset { return c.box.sets }

// APIAddress returns the API's base URL.
func (c *Call) APIAddress() string { return c.box.apiAddress }

// TerminalFlags returns the flags with which a user reaches the same API in a terminal.
func (c *Call) TerminalFlags() string { return c.box.terminalFlags }

// Clock returns the time.
func (c *Call) Clock() time.Time { return c.box.clock() }

// Context returns the context that is done when nobody wants the outcome of the call any
// more. It has no other limit: see Stretch.
func (c *Call) Context() context.Context { return c.work.ctx }

// Over returns why nobody wants the outcome any more, nil while somebody does.
func (c *Call) Over() error { return c.work.over() }

// Attended reports whether a client waits for the outcome now.
func (c *Call) Attended() bool { return c.work.attended() }

// Stretch returns the context for the next piece of work with the API. Its time limit
// starts now, however long the user took before. It cancels the previous one.
func (c *Call) Stretch() context.Context {
	if c.endStretch != nil {
		c.endStretch()
	}
	ctx, end := context.WithTimeout(c.work.ctx, c.stretch)
	c.endStretch = end
	return ctx
}

// WaitForUser runs wait, which waits for the user to do what open describes. Its context
// is done when nobody wants the outcome any more. The error is that of wait, or a
// *WithdrawnError.
func (c *Call) WaitForUser(ctx context.Context, open OpenState, wait func(ctx context.Context) error) error {
	return c.work.waitForUser(ctx, open, wait)
}

// Background runs do beside the calls. The server does not stop before it ends.
func (c *Call) Background(do func()) { c.box.background(do) }

// ShortWait is how long a call waits for something that precedes its own work.
func (c *Call) ShortWait() time.Duration { return c.box.patience.forRecovery() }

// TokenReplaced keeps the user's calls joinable after their token was replaced by the
// one that they use now.
func (c *Call) TokenReplaced(ctx context.Context) {
	if now, err := c.box.callers.Caller(ctx); err == nil {
		c.box.works.rename(c.Caller.ID, now.ID)
	}
}

// Attempt begins the trail. Call it once the arguments are known to be valid. From then
// on the call leaves an entry, whatever becomes of it. It fails while entries cannot be
// written.
func (c *Call) Attempt(step audit.Entry) error {
	if err := c.Auditable(); err != nil {
		return err
	}
	c.Trail.Begin(step)
	return nil
}

// Auditable returns an error while the audit log cannot be written.
func (c *Call) Auditable() error {
	if c.box.auditor == nil {
		return nil
	}
	if err := c.box.auditor.Ready(); err != nil {
		c.Trail.Abandon()
		c.Log.Warn("a change was refused, since the audit log cannot be written", "cause", err)
		return NewError(CodeUnavailable, "the operator's audit log cannot be written, and without it nothing is changed").
			Advise("Tell the user that the operator of this server has to fix this. Reading still works.").Because(err).Reasoned(reasonAuditLog)
	}
	return nil
}

// Record writes an entry about something that is not a step of the call.
func (c *Call) Record(entry audit.Entry) {
	if c.box.auditor == nil {
		return
	}
	entry.Time, entry.RequestID = c.box.clock(), c.RequestID
	entry.Caller, entry.TokenPrefix = c.Caller.ID, c.Caller.TokenPrefix
	c.box.auditor.Record(entry)
}

// conclude records the step at which the call ended, unless it ended with a question to
// the user.
func (c *Call) conclude(err error) {
	var asking *InputRequired
	if errors.As(err, &asking) {
		return
	}
	c.Trail.Acted(OutcomeOf(err), c.Trail.Step.Left)
}

// OutcomeOf returns the audit log's word for how a request to the API, or a delivery,
// ended. Removing something that is not there leaves things unchanged.
func OutcomeOf(err error) audit.Outcome {
	if err == nil {
		return audit.OutcomeDone
	}
	if e, ok := AsError(err); ok {
		return audit.Outcome(e.Code)
	}
	switch {
	case errors.Is(err, client.ErrOutcomeUnknown):
		return audit.Outcome(CodeOutcomeUnknown)
	case errors.Is(err, client.ErrNotFound):
		return audit.OutcomeUnchanged
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return audit.Outcome(CodeUnavailable)
	}
	return audit.Outcome(classify(err, "").Code)
}

// The outcomes of a call beside the error codes.
const (
	// OutcomeOK is a call that was answered.
	OutcomeOK = "ok"
	// OutcomeInputRequired is a call that was answered with a question; its answer
	// comes as another call.
	OutcomeInputRequired = "input_required"
)

// Outcomes returns every outcome of a call: [OutcomeOK], [OutcomeInputRequired] and
// every [Code].
func Outcomes() []string {
	outcomes := []string{OutcomeOK, OutcomeInputRequired}
	for _, code := range Codes() {
		outcomes = append(outcomes, string(code))
	}
	return outcomes
}

// Observer is notified when a tool call ends. outcome is one of [Outcomes]. took
// includes the time in which the user was asked. It is called concurrently, with the
// call's context.
type Observer interface {
	ToolCalled(ctx context.Context, tool, outcome string, took time.Duration)
}

// observed notifies the observer how a call ended.
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

// NewRequestID returns 80 random bits in base32 (16 characters).
func NewRequestID() string { return rand.Text()[:16] }

// WithRequestID sets the id of the request that is handled under ctx. The transport
// makes it: the ids of two clients may be equal.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that [WithRequestID] set, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
