package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/logging"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/changelimit"
)

// Config configures a [Toolbox].
type Config struct {
	// Callers finds out which user a call acts as. Required.
	Callers Callers
	// Toolsets are all toolsets. Required.
	Toolsets []*Toolset
	// Connector asks the user for a token where there is none. Nil: the tools only say
	// how to give one.
	Connector Connector
	// Auditor records changes for the operator. Nil: nothing is recorded.
	Auditor audit.Log
	// Shared counts changes across the replicas of a server. Nil: they are counted in
	// this process.
	Shared changelimit.Store
	// Policy is what the operator allows at most.
	Policy Policy
	// Extensions means that the API supports what kenbun does not document. Otherwise
	// the tools and arguments for it are left out.
	Extensions bool
	// APIAddress is the API's base URL.
	APIAddress string
	// TerminalFlags are the flags with which a user reaches the same API from a
	// terminal, such as " --embedded". They end the commands that tools name.
	TerminalFlags string
	// Patience is how long a call waits for the user before it answers that the
	// question is open. Zero: [DefaultPatience].
	Patience time.Duration
	// Observer is notified how calls end. It may be nil.
	Observer Observer
	// Logger receives what must not go to a model. Nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// A Toolbox runs tools.
type Toolbox struct {
	callers       Callers
	sets          []*Toolset
	connector     Connector
	auditor       audit.Log
	policy        Policy
	apiAddress    string
	terminalFlags string
	observer      Observer
	log           *slog.Logger
	clock         func() time.Time
	patience      patience
	works         *works
	changes       *changelimit.Limit
	accounts      *accounts
}

// New returns a toolbox. It fails on an invalid policy.
func New(config Config) (*Toolbox, error) {
	if config.Callers == nil || len(config.Toolsets) == 0 {
		return nil, errors.New("a toolbox needs Callers and Toolsets")
	}
	policy, err := config.Policy.Validate(config.Toolsets)
	if err != nil {
		return nil, err
	}
	b := &Toolbox{
		callers:       config.Callers,
		sets:          Available(config.Toolsets, config.Extensions),
		connector:     config.Connector,
		auditor:       config.Auditor,
		policy:        policy,
		apiAddress:    config.APIAddress,
		terminalFlags: config.TerminalFlags,
		observer:      config.Observer,
		log:           config.Logger,
		clock:         config.Now,
		patience:      patience(config.Patience),
		works:         newWorks(),
		accounts:      newAccounts(),
	}
	if b.patience == 0 {
		b.patience = patience(DefaultPatience)
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.clock == nil {
		b.clock = time.Now
	}
	counts := config.Shared
	if counts == nil {
		counts = changelimit.NewMemory(b.clock)
	}
	b.changes = changelimit.New(counts, "changes", b.policy.MaxChangesPerMinute, changesWindow, b.clock)
	return b, nil
}

// Instructions returns the instructions for the tools on offer.
func (b *Toolbox) Instructions() string { return instructions(b.sets, b.policy.Offers) }

// ServerTools returns the tools on offer, ready to be registered. Calling a tool that the
// policy leaves out is therefore answered like calling one that does not exist.
func (b *Toolbox) ServerTools() []server.ServerTool {
	var offered []server.ServerTool
	for _, set := range b.sets {
		for _, tool := range set.Tools {
			if b.policy.Offers(set, tool) {
				offered = append(offered, server.ServerTool{Tool: tool.Definition(), Handler: b.handler(set, tool)})
			}
		}
	}
	return offered
}

// handler adapts a tool to the MCP library. It never returns a Go error, which would
// reach the client as a protocol error with its raw text.
func (b *Toolbox) handler(set *Toolset, tool *Tool) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if RequestID(ctx) == "" {
			ctx = WithRequestID(ctx, NewRequestID())
		}
		return b.observed(ctx, tool, func() (*mcp.CallToolResult, string) { return b.answer(ctx, set, tool, request) }), nil
	}
}

// answer makes a call. It returns the client's answer, and which of Outcomes that is.
func (b *Toolbox) answer(ctx context.Context, set *Toolset, tool *Tool, request mcp.CallToolRequest) (answer *mcp.CallToolResult, ended string) {
	logger := logging.With(b.log, "request_id", RequestID(ctx), "tool", tool.Name)
	failed := func(e *Error) (*mcp.CallToolResult, string) { return e.toolResult(), string(e.Code) }
	defer func() {
		if r := recover(); r != nil {
			answer, ended = failed(internal(ctx, set, logger, fmt.Errorf("panic: %v\n%s", r, debug.Stack())))
		}
	}()
	outcome, err := b.call(ctx, set, tool, request, logger)
	if err == nil {
		return outcome.toolResult(), OutcomeOK
	}
	var asking *InputRequired
	if errors.As(err, &asking) {
		return asking.Result, OutcomeInputRequired
	}
	if e, ok := AsError(err); ok {
		logger.Info("the tool answered with an error", "code", e.Code, "reason", e.Reason(), "cause", e.cause)
		return failed(e.withRequestID(ctx))
	}
	if ctx.Err() != nil {
		logger.Info("the tool answered with an error", "code", CodeUnavailable, "reason", reasonCanceled, "cause", err)
		again := "Call again when it is wanted."
		if set.Check != "" {
			again = set.Check + ", then call again."
		}
		return failed(NewError(CodeUnavailable, "the call was cancelled before it was done").
			Advise("%s", again).withRequestID(ctx))
	}
	return failed(internal(ctx, set, logger, err))
}

// call makes a call, or joins the same call that was answered before it was done.
func (b *Toolbox) call(ctx context.Context, set *Toolset, tool *Tool, request mcp.CallToolRequest, logger *slog.Logger) (*Result, error) {
	args, err := tool.parseArguments(rawArguments(request))
	if err != nil {
		return nil, err
	}
	w, stop := b.wait(ctx)
	defer stop()
	caller, err := w.callerOf(ctx, tool, request)
	if err != nil {
		return nil, err
	}
	c := b.newCall(ctx, tool, args, caller, request, logger)
	if tool.Effect == Reads {
		return w.read(ctx, set, c)
	}
	key := keyOf(ctx, caller, set, tool, args)
	var joined *work
	if len(request.Params.InputResponses) == 0 { // an answer goes to its own question
		if joined, err = w.join(ctx, key, caller); err != nil {
			return nil, err
		}
	}
	if joined == nil {
		return w.attend(ctx, key, b.begin(ctx, set, c))
	}
	logger.Info("the call joins an earlier one", "caller", caller.ID)
	kept := joined.hasEnded()
	outcome, err := w.attend(ctx, key, joined)
	if kept {
		return b.keptOutcome(outcome, err, joined.ended)
	}
	return outcome, err
}

func (b *Toolbox) newCall(ctx context.Context, tool *Tool, args Arguments, caller Caller, request mcp.CallToolRequest, logger *slog.Logger) *Call {
	// The outcome may be kept for minutes. The message must not be.
	request.Header = nil
	request.Params.Arguments, request.Params.RawArguments, request.Params.Meta = nil, nil, nil
	c := &Call{
		Tool:      tool,
		Args:      args,
		Caller:    caller,
		Request:   request,
		RequestID: RequestID(ctx),
		Now:       b.clock(),
		Log:       logging.With(logger, "caller", caller.ID),
		box:       b,
		stretch:   b.patience.forAPI(),
	}
	c.Trail = audit.NewTrail(func(step audit.Entry) {
		step.Tool = tool.Name
		c.Record(step)
	})
	return c
}

// begin starts the work of a call.
func (b *Toolbox) begin(ctx context.Context, set *Toolset, c *Call) *work {
	return b.works.begin(ctx, func(w *work) (*Result, error) { return c.run(set, w) }) //nolint:contextcheck // that of the work
}

// run does the work of a call.
func (c *Call) run(set *Toolset, w *work) (_ *Result, err error) {
	c.work = w
	ctx := c.Stretch()
	defer func() { c.endStretch() }()
	if set.Before != nil {
		if err := set.Before(ctx, c); err != nil {
			return nil, err
		}
	}
	err = errPanicked
	defer func() { c.conclude(err) }()
	done, err := c.Tool.Run(ctx, c)
	if err == nil {
		done.undo = c.Undo
	}
	return done, err
}

// background runs do concurrently with calls.
func (b *Toolbox) background(do func()) {
	w := b.works.begin(context.Background(), func(*work) (*Result, error) {
		do()
		return nil, nil
	})
	go func() {
		if <-w.done; w.err != nil {
			b.log.Error("unexpected error in the background", "cause", w.err)
		}
	}()
}

// Stop ends the work that no call waits for. It returns once no call is under way, or
// ctx is done. No call may begin after that.
func (b *Toolbox) Stop(ctx context.Context) { b.works.stop(ctx) }

// errPanicked is the result of a tool until it has returned one.
var errPanicked = errors.New("the tool panicked")

// Run runs a tool for a user at a terminal, with the same steps and checks as for a
// model. The user is asked directly, and errors are returned as they are.
func (b *Toolbox) Run(ctx context.Context, tool string, arguments map[string]any) (structured any, text string, err error) {
	set, found := b.find(tool)
	if found == nil {
		return nil, "", fmt.Errorf("there is no tool %q", tool)
	}
	request := mcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = tool, arguments
	args, err := found.parseArguments(rawArguments(request))
	if err != nil {
		return nil, "", err
	}
	caller, err := b.callers.Caller(ctx)
	if err != nil {
		return nil, "", err
	}
	work := b.begin(ctx, set, b.newCall(ctx, found, args, caller, request, logging.With(b.log, "tool", tool)))
	defer context.AfterFunc(ctx, func() { work.cancel(errCancelled) })()
	<-work.done
	outcome, err := work.result, work.err
	if err != nil {
		return nil, "", err
	}
	return outcome.Structured, outcome.Text, nil
}

func (b *Toolbox) find(name string) (*Toolset, *Tool) {
	for _, set := range b.sets {
		for _, tool := range set.Tools {
			if tool.Name == name {
				return set, tool
			}
		}
	}
	return nil, nil
}

// internal hides an unexpected error behind the id of the request, under which the
// operator finds it in the log.
func internal(ctx context.Context, set *Toolset, logger *slog.Logger, cause error) *Error {
	logger.Error("unexpected error in a tool", "cause", cause)
	check := ""
	if set.Check != "" {
		check = set.Check + ". "
	}
	return NewError(CodeInternal, "something went wrong inside the server").
		Advise("%sIf it happens again, report it with the number %s, under which the server's log has the details.", check, RequestID(ctx)).
		Because(cause)
}

// rawArguments returns the bytes that the client sent, or encodes the arguments of a call
// that came without any.
func rawArguments(request mcp.CallToolRequest) []byte {
	if len(request.Params.RawArguments) > 0 {
		return request.Params.RawArguments
	}
	if request.Params.Arguments == nil {
		return nil
	}
	return MustMarshal(request.Params.Arguments)
}
