package tools

import (
	"context"
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
	// With returns the API as seen with another token of the same user, to find
	// out whether that works.
	With func(pat client.Secret) *client.Caller
	// ID tells callers apart. It is derived from the credential under a key, so
	// that it can be compared and logged but not turned back.
	ID string
	// TokenPrefix is the public part of the token in use; empty if it has none.
	TokenPrefix string
	// TokenSource tells a person where the token in use came from, such as
	// "KENBUN_PAT" or "the request". It is words, not a secret.
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

// readList reads the user's list of tokens, only to see whether the API accepts the
// token.
func readList(ctx context.Context, api *client.Caller) error {
	return api.ReadTokens(ctx, func() func(*client.Token) { return func(*client.Token) {} })
}

// Callers finds out which user a call acts as. An *[Error] with
// [CodeUnauthenticated] that says how to give a token is the right answer where
// there is none; nobody is ever served as somebody else.
type Callers interface {
	Caller(ctx context.Context) (Caller, error)
}

// Connector asks the user for a token where a call has none.
type Connector interface {
	// Connect returns nil once there is a token. cause is why there is none. The error
	// is an *[Error], or an *[InputRequired] while the client asks.
	Connect(ctx context.Context, tool string, request mcp.CallToolRequest, cause error) error
}

// ErrNotConnected is in the chain of the error that a Callers returns where there is
// no token at all and the user could give one.
var ErrNotConnected = errors.New("no token was given")

// howToConnect is what a tool answers where there is no token that could be used.
const howToConnect = "The user creates a personal access token in kenbun under Settings > Integrations > Personal Tokens, " +
	"and runs `kenbun-mcp login` in a terminal, or gives it to this server as KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND in the client's configuration; never in the conversation."

// Unauthenticated is the error for a caller whose token is missing or cannot be one.
// The text of cause is shown and must not hold the token.
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
	// Trail is what the call leaves in the audit log.
	Trail audit.Trail
	// Undo takes back what is lost if nobody gets the result. It may be nil.
	Undo func()

	box  *Toolbox
	work *work
	// accountKey is the account under which changes count. Empty: not known yet.
	accountKey string
	// endStretch ends the context of the latest stretch.
	endStretch context.CancelFunc
}

// Policy is what the operator allows at most.
func (c *Call) Policy() Policy { return c.box.policy }

// Toolsets are those that this API supports, including what the policy leaves out.
func (c *Call) Toolsets() []*Toolset { return c.box.sets }

// APIAddress is the API's base URL.
func (c *Call) APIAddress() string { return c.box.apiAddress }

// TerminalFlags are the flags that end a command of a user who wants the same API.
func (c *Call) TerminalFlags() string { return c.box.terminalFlags }

// Clock returns the time.
func (c *Call) Clock() time.Time { return c.box.clock() }

// Context is done when nobody wants the outcome of the call any more. It has no
// other limit: see Stretch.
func (c *Call) Context() context.Context { return c.work.ctx }

// Over returns why nobody wants the outcome any more, nil while somebody does.
func (c *Call) Over() error { return c.work.over() }

// Attended reports whether a client waits for the outcome now.
func (c *Call) Attended() bool { return c.work.attended() }

// Stretch returns the context for what is done next with the API. It has a limited
// time for that, however long the user thought before. It ends the one before.
func (c *Call) Stretch() context.Context {
	if c.endStretch != nil {
		c.endStretch()
	}
	ctx, end := context.WithTimeout(c.work.ctx, c.box.patience.forAPI())
	c.endStretch = end
	return ctx
}

// WaitForUser runs wait, which waits for the user to do what open says. Its context
// ends when nobody wants to know any more. The error is that of wait, or a
// *WithdrawnError.
func (c *Call) WaitForUser(ctx context.Context, open OpenState, wait func(ctx context.Context) error) error {
	return c.work.waitForUser(ctx, open, wait)
}

// Background runs do beside the calls. The server does not stop before it ends.
func (c *Call) Background(do func()) { c.box.background(do) }

// ShortWait is how long a call waits for something that comes before its own work.
func (c *Call) ShortWait() time.Duration { return c.box.patience.forRecovery() }

// TokenReplaced tells that the token of the call's user was replaced by the one
// that they use now, so that their calls can still be joined.
func (c *Call) TokenReplaced(ctx context.Context) {
	if now, err := c.box.callers.Caller(ctx); err == nil {
		c.box.works.rename(c.Caller.ID, now.ID)
	}
}

// Attempt begins the trail, once the arguments are known to be valid: from here on
// the call leaves an entry, whatever becomes of it. It fails while entries cannot be
// written.
func (c *Call) Attempt(step audit.Entry) error {
	if err := c.Auditable(); err != nil {
		return err
	}
	c.Trail.Begin(step)
	return nil
}

// Auditable reports an error while the operator could not read later what is done
// now.
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

// conclude writes the step at which the call ended. A question that is on its way
// to the user is not an end.
func (c *Call) conclude(err error) {
	var asking *InputRequired
	if errors.As(err, &asking) {
		return
	}
	c.Trail.Acted(OutcomeOf(err), c.Trail.Step.Left)
}

// OutcomeOf is what the audit log calls how a request to the API, or a delivery,
// ended. Something that was to be removed and is not there leaves things unchanged.
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
