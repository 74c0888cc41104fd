package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/changelimit"
)

// Config is what a [Toolbox] is made from.
type Config struct {
	// Callers tells as whom a call runs. Required.
	Callers Callers
	// Deliverer is the road by which new secrets reach the person. Required.
	Deliverer Deliverer
	// Person is asked where the client cannot ask. Nil: nobody is.
	Person Person
	// Connector lets the person give a token where there is none. Nil: the tools
	// only say how to give one.
	Connector Connector
	// Keeper keeps the token that the server itself runs on. Nil: the server has
	// none, or none that it could change.
	Keeper Keeper
	// Journal remembers tokens on their way to a person. Nil: nothing does, and a
	// crash in between leaves a token that nobody holds.
	Journal Journal
	// Auditor keeps what was changed for the operator. Nil: nobody does.
	Auditor Auditor
	// StateKey seals what a server has to remember of a question while the client
	// has it: 32 bytes, the same for all replicas of a server. Nil: a random one.
	StateKey []byte
	// Once tells whether an answer comes for the first time, among all replicas
	// of a server. Nil: this process remembers by itself.
	Once Once
	// Shared keeps what all replicas of a server count together: questions and
	// changes. Nil: they are kept in the memory of this process.
	Shared approval.Store
	// Policy is the operator's ceiling.
	Policy Policy
	// Extensions tells that the API can do what kenbun does not document: narrow a
	// token, have it begin later, change it. Without them the tools and arguments
	// for it are not there.
	Extensions bool
	// APIAddress is the API's base URL, as whoami shows it.
	APIAddress string
	// TerminalFlags are the flags with which a person reaches the same API from
	// a terminal, such as " --embedded"; they end the commands that tools name.
	TerminalFlags string
	// Patience is how long a call waits for the user before it answers that the
	// question is open. Zero: [DefaultPatience].
	Patience time.Duration
	// Observer is told how calls end. Nil: nobody is.
	Observer Observer
	// Logger takes what must not go to a model. Nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Toolbox is the tools in their surroundings.
type Toolbox struct {
	callers       Callers
	deliverer     Deliverer
	person        Person
	connector     Connector
	keeper        Keeper
	journal       Journal
	recoveries    *recoveries
	auditor       Auditor
	tools         []*Tool
	policy        Policy
	apiAddress    string
	terminalFlags string
	observer      Observer
	log           *slog.Logger
	clock         func() time.Time
	patience      patience
	works         *works
	offers        offers
	sealer        *sealer
	budget        *approval.Budget
	// earlier keeps the ends that tokens had before a tool took from them.
	earlier approval.Store
	// unclaimed are the tokens that are on their way to their user.
	unclaimed *unclaimed
	changes   *changelimit.Limit
	creations *changelimit.Limit
	accounts  *accounts
	// rotations lets one rotation of a token run at a time in this process, so that
	// a token has one successor. Between processes the API decides: only one of two
	// can revoke the old token.
	rotations *keyedLock
}

// New returns a toolbox. It fails on a policy that means nothing.
func New(config Config) (*Toolbox, error) {
	if config.Callers == nil || config.Deliverer == nil {
		return nil, errors.New("a toolbox needs to know who calls and how to deliver")
	}
	if err := config.Policy.Validate(); err != nil {
		return nil, err
	}
	b := &Toolbox{
		callers:       config.Callers,
		deliverer:     config.Deliverer,
		person:        config.Person,
		connector:     config.Connector,
		keeper:        config.Keeper,
		journal:       config.Journal,
		auditor:       config.Auditor,
		accounts:      newAccounts(),
		rotations:     newKeyedLock(),
		tools:         Available(config.Extensions),
		policy:        config.Policy,
		apiAddress:    config.APIAddress,
		terminalFlags: config.TerminalFlags,
		observer:      config.Observer,
		log:           config.Logger,
		clock:         config.Now,
		patience:      patience(config.Patience),
		works:         newWorks(),
		unclaimed:     &unclaimed{ids: map[string]struct{}{}},
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
	b.recoveries = newRecoveries(b.journal, b.clock)
	b.recoveries.wait, b.recoveries.start = b.patience.forRecovery(), b.background
	b.sealer = newSealer(b.clock)
	questions, earlier := config.Shared, config.Shared
	var counts changelimit.Store = config.Shared
	if questions == nil {
		// Apart, so that neither takes the other's room.
		questions, earlier = approval.NewMemory(), approval.NewMemory()
		counts = changelimit.NewMemory(b.clock)
	}
	b.earlier = earlier
	b.budget = approval.NewBudget(questions, b.clock)
	if err := b.sealer.share(config.StateKey, config.Once); err != nil {
		return nil, err
	}
	b.changes = changelimit.New(counts, "changes", b.policy.MaxChangesPerMinute, changesWindow, b.clock)
	b.creations = changelimit.New(counts, "creations", b.policy.MaxTokensPerDay, creationsWindow, b.clock)
	return b, nil
}

// ServerTools are the tools on offer, ready to be registered. A tool that the
// policy leaves out is not among them, so that calling it is answered in the
// words for a tool that does not exist.
func (b *Toolbox) ServerTools() []server.ServerTool {
	var offered []server.ServerTool
	for _, tool := range b.tools {
		if b.policy.offers(tool) {
			offered = append(offered, server.ServerTool{Tool: tool.Definition(), Handler: b.handler(tool)})
		}
	}
	return offered
}

// handler turns a tool into what the MCP library calls. It never returns a Go
// error: that would reach the client as a protocol error with its raw text.
func (b *Toolbox) handler(tool *Tool) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if RequestID(ctx) == "" {
			ctx = WithRequestID(ctx, NewRequestID())
		}
		return b.observed(ctx, tool, func() (*mcp.CallToolResult, string) { return b.answer(ctx, tool, request) }), nil
	}
}

// answer makes a call and returns what the client is answered, and which of
// Outcomes that is.
func (b *Toolbox) answer(ctx context.Context, tool *Tool, request mcp.CallToolRequest) (answer *mcp.CallToolResult, ended string) {
	logger := b.log.With("request_id", RequestID(ctx), "tool", tool.Name)
	failed := func(e *Error) (*mcp.CallToolResult, string) { return e.toolResult(), string(e.Code) }
	defer func() {
		if r := recover(); r != nil {
			answer, ended = failed(internal(ctx, logger, fmt.Errorf("panic: %v\n%s", r, debug.Stack())))
		}
	}()
	outcome, err := b.call(ctx, tool, request, logger)
	if err == nil {
		return outcome.toolResult(), OutcomeOK
	}
	var asking *inputRequired
	if errors.As(err, &asking) {
		return asking.result, OutcomeInputRequired
	}
	if e, ok := asError(err); ok {
		logger.Info("the tool answered with an error", "code", e.Code, "reason", reasonOf(e), "cause", e.cause)
		return failed(e.withRequestID(ctx))
	}
	if ctx.Err() != nil {
		logger.Info("the tool answered with an error", "code", CodeUnavailable, "reason", reasonCanceled, "cause", err)
		return failed(newError(CodeUnavailable, "the call was cancelled before it was done").
			next("Check with list_tokens what is there, then call again.").withRequestID(ctx))
	}
	return failed(internal(ctx, logger, err))
}

// call makes a call, or joins the same call that was answered before it was done.
func (b *Toolbox) call(ctx context.Context, tool *Tool, request mcp.CallToolRequest, logger *slog.Logger) (*result, error) {
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
	key := b.keyOf(ctx, caller, tool, args)
	var joined *work
	if len(request.Params.InputResponses) == 0 { // an answer is to be heard
		if joined, err = w.join(ctx, key, caller); err != nil {
			return nil, err
		}
	}
	if joined == nil {
		return w.attend(ctx, tool, key, b.begin(ctx, tool, args, caller, request, logger))
	}
	logger.Info("the call joins an earlier one", "caller", caller.ID)
	kept := joined.hasEnded()
	outcome, err := w.attend(ctx, tool, key, joined)
	if kept {
		return b.keptOutcome(outcome, err, joined.ended)
	}
	return outcome, err
}

// begin starts the work of a call.
func (b *Toolbox) begin(ctx context.Context, tool *Tool, args arguments, caller Caller, request mcp.CallToolRequest, logger *slog.Logger) *work {
	// The outcome of the work may be kept for minutes, and the message is not to be.
	request.Header = nil
	request.Params.Arguments, request.Params.RawArguments, request.Params.Meta = nil, nil, nil
	return b.works.begin(ctx, func(w *work) (_ *result, err error) {
		c := &call{
			Toolbox:   b,
			work:      w,
			tool:      tool,
			args:      args,
			caller:    caller,
			request:   request,
			requestID: RequestID(ctx),
			now:       b.clock(),
			logger:    logger.With("caller", caller.ID),
		}
		ctx := c.stretch()
		defer func() { c.endStretch() }()
		err = b.recoveries.settle(ctx, caller, c.logger, func(found Recovered) { b.recordRecovery(c.requestID, caller, found) }) //nolint:contextcheck // that of the work
		if err != nil && tool.Effect != Reads {
			return nil, err
		}
		err = errPanicked
		defer func() { c.conclude(err) }()
		done, err := tool.run(ctx, c) //nolint:contextcheck // that of the work
		if err == nil {
			done.undo = c.undo
		}
		return done, err
	})
}

// background runs do beside the calls.
func (b *Toolbox) background(do func()) {
	w := b.works.begin(context.Background(), func(*work) (*result, error) {
		do()
		return nil, nil
	})
	go func() {
		if <-w.done; w.err != nil {
			b.log.Error("something failed in the background in a way that nobody foresaw", "cause", w.err)
		}
	}()
}

// Stop ends what goes on without a call that waits for it, and returns once no call
// is under way or ctx is done. No call may begin after that.
func (b *Toolbox) Stop(ctx context.Context) { b.works.stop(ctx) }

// errPanicked stands for the result of a tool until it has one.
var errPanicked = errors.New("the tool panicked")

// Run runs a tool for a person at a terminal: the same steps and checks as for a
// model, with the person asked directly and errors as they are. It takes the
// tool's arguments as a model would give them and returns its structured answer
// and its text.
func (b *Toolbox) Run(ctx context.Context, tool string, arguments map[string]any) (structured any, text string, err error) {
	i := slices.IndexFunc(b.tools, func(t *Tool) bool { return t.Name == tool })
	if i < 0 {
		return nil, "", fmt.Errorf("there is no tool %q", tool)
	}
	request := mcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = tool, arguments
	args, err := b.tools[i].parseArguments(rawArguments(request))
	if err != nil {
		return nil, "", err
	}
	caller, err := b.callers.Caller(ctx)
	if err != nil {
		return nil, "", err
	}
	work := b.begin(ctx, b.tools[i], args, caller, request, b.log.With("tool", tool))
	defer context.AfterFunc(ctx, func() { work.cancel(errCancelled) })()
	<-work.done
	outcome, err := work.result, work.err
	if err != nil {
		return nil, "", err
	}
	return outcome.structured, outcome.text, nil
}

// internal hides what nobody foresaw behind the number of the request, under
// which the operator finds it in the log.
func internal(ctx context.Context, logger *slog.Logger, cause error) *Error {
	logger.Error("a tool failed in a way that nobody foresaw", "cause", cause)
	return newError(CodeInternal, "something went wrong inside the server").
		next("Check with list_tokens what is there. If it happens again, report it with the number %s, under which the server's log tells more.", RequestID(ctx)).
		because(cause)
}

// rawArguments are the bytes that the client sent, or, for a call that came
// without any, those of what it holds.
func rawArguments(request mcp.CallToolRequest) []byte {
	if len(request.Params.RawArguments) > 0 {
		return request.Params.RawArguments
	}
	if request.Params.Arguments == nil {
		return nil
	}
	return mustMarshal(request.Params.Arguments)
}
