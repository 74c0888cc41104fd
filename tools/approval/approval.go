package approval

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// decisionTimeout is how long a user may think, and an answer through the client stays
// valid.
const decisionTimeout = 5 * time.Minute

// A Decision is something that the user has to agree to before it is done.
type Decision struct {
	// Kind is the kind of object that it is about.
	Kind audit.Kind
	// Target is the object's id.
	Target string
	// Subject is what the user is not asked about again after a no, whatever the arguments.
	// Empty: Target.
	Subject string
	// Fingerprint stands for the target as the user was shown it. An answer counts for
	// nothing else.
	Fingerprint string
	Question    Question
	// Instead is what the user can do without the assistant, after "can". It names no
	// command that prints a secret: a model with a shell would run it.
	Instead string
}

// Config is what an [Approver] is made from.
type Config struct {
	// Method is asked where the client cannot ask. Nil: nobody is.
	Method Method
	// StateKey seals the state of a question that the client holds: 32 bytes, the same for
	// all replicas. Nil: a random one.
	StateKey []byte
	// Once reports whether an answer comes for the first time, among all replicas of a
	// server. Nil: this process remembers by itself.
	Once Once
	// Shared keeps the questions that all replicas count together. Nil: this process counts
	// alone.
	Shared Store
	// Logger takes what must not go to a model. Nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Approver asks users for decisions.
type Approver struct {
	method Method
	sealer *sealer
	budget *Budget
	log    *slog.Logger
	clock  func() time.Time
}

// New returns an approver. It fails on a key of the wrong length.
func New(config Config) (*Approver, error) {
	a := &Approver{method: config.Method, log: config.Logger, clock: config.Now}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.clock == nil {
		a.clock = time.Now
	}
	shared := config.Shared
	if shared == nil {
		shared = NewMemory()
	}
	a.budget = NewBudget(shared, a.clock)
	a.sealer = newSealer(a.clock)
	return a, a.sealer.share(config.StateKey, config.Once)
}

// asking is a call that needs a decision.
type asking struct {
	*tools.Call
	*Approver
}

// Permit returns a context for what follows if d may be done: after the user's yes if asks
// is set, and otherwise unless they said no to something about the same target recently.
func (a *Approver) Permit(ctx context.Context, call *tools.Call, d Decision, asks bool) (context.Context, error) {
	return (&asking{call, a}).permit(ctx, d, asks)
}

// Decide returns a context for what follows once the user has agreed to d. Every other
// outcome is an error: a *[tools.InputRequired] while the question is on its way to the
// user, a *[tools.Error] if there was a no, no answer, or nobody to ask. No argument of a
// tool takes part in it.
func (a *Approver) Decide(ctx context.Context, call *tools.Call, d Decision) (context.Context, error) {
	return (&asking{call, a}).decide(ctx, d)
}

func (c *asking) permit(ctx context.Context, d Decision, asks bool) (context.Context, error) {
	if !asks || c.Policy().Approval == tools.ApprovalClient {
		if err := c.touch(ctx, d); err != nil {
			return nil, err
		}
	}
	if !asks {
		return ctx, c.heardNo(ctx, d)
	}
	return c.decide(ctx, d)
}

// heardNo returns the user's no to a question that the same call asked before, and would not
// ask any more.
func (c *asking) heardNo(ctx context.Context, d Decision) error {
	state := c.Request.Params.RequestState
	if state == "" || !server.IsModernRequest(ctx) {
		return nil
	}
	if _, asked := c.asked(d, state); !asked {
		return nil
	}
	defer c.withdraw(ctx, d, state)
	answer := server.ElicitationResponse(c.Request.Params.InputResponses, decisionKey)
	if answer == nil {
		return nil // it is not asked any more
	}
	return c.verdict(d, answer)
}

func (c *asking) decide(ctx context.Context, d Decision) (context.Context, error) {
	var err error
	switch {
	case c.Policy().Approval == tools.ApprovalClient:
		c.Trail.Decided(audit.VerdictTrustedClient, "")
		return ctx, nil
	case c.Policy().Approval != tools.ApprovalAsk:
		return nil, c.needsPerson(d)
	case server.IsModernRequest(ctx):
		err = c.decideAcrossRounds(ctx, d)
	default:
		err = c.decideInSession(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	// The user may have thought for minutes.
	return c.Stretch(), nil
}

const decisionKey = "decision"

// decideAcrossRounds asks through the result of the call. The state travels through the
// client, sealed.
func (c *asking) decideAcrossRounds(ctx context.Context, d Decision) error {
	info := server.RequestProtocolInfoFromContext(ctx)
	if info == nil || info.ClientCapabilities == nil || !asksByForm(info.ClientCapabilities.Elicitation) {
		return c.decideDirectly(ctx, d)
	}
	_, answered := c.Request.Params.InputResponses[decisionKey]
	if state := c.Request.Params.RequestState; state != "" {
		opened, err := c.sealer.look(state, c.claims(d))
		switch {
		case answered:
			return c.answeredAcrossRounds(ctx, d, state)
		case err == nil && c.isOpen(ctx, opened.Question):
			// The client has lost no more than the answer: it is the same question.
			return ask(d, state)
		}
	}
	question, err := c.open(ctx, d, decisionTimeout)
	if err != nil {
		return err
	}
	state, err := c.sealer.seal(c.claims(d), question, decisionTimeout)
	if err != nil {
		return err
	}
	return ask(d, state)
}

func ask(d Decision, state string) error {
	return &tools.InputRequired{
		Result: server.NewInputRequestBuilder(state).Elicit(decisionKey, d.elicitation()).ToolResult(),
	}
}

// answeredAcrossRounds counts the answer that came with state.
func (c *asking) answeredAcrossRounds(ctx context.Context, d Decision, state string) error {
	c.Trail.Decided(audit.VerdictNoAnswer, audit.WayElicitation)
	err := c.sealer.open(ctx, state, c.claims(d))
	switch {
	case errors.Is(err, errStateOther):
		c.withdraw(ctx, d, state)
		return tools.NewError(tools.CodeDeclined, "the answer to the question does not count (%s); %s", err, d.Question.Unchanged).
			Advise("Call the tool again; the user is asked again.").Because(err)
	case errors.Is(err, errStateUnknown):
		return tools.NewError(tools.CodeUnavailable, "the answer to the question cannot be counted (%s); %s", errStateUnknown, d.Question.Unchanged).
			Advise("Call the tool again in a minute; the user is asked again.").Because(err).Reasoned(tools.ReasonSharedState)
	case err != nil:
		return tools.NewError(tools.CodeDeclined, "the answer to the question does not count (%s); %s", err, d.Question.Unchanged).
			Advise("Call the tool again; the user is asked again.").Because(err)
	}
	opened, err := c.sealer.look(state, c.claims(d))
	if err != nil {
		return d.late().Because(err)
	}
	return c.settle(ctx, d, opened.Question, c.verdict(d, server.ElicitationResponse(c.Request.Params.InputResponses, decisionKey)))
}

// decideInSession asks over the client's session, as before protocol 2026-07-28, and waits.
func (c *asking) decideInSession(ctx context.Context, d Decision) error {
	session := server.ClientSessionFromContext(ctx)
	described, ok := session.(server.SessionWithClientInfo)
	if !ok || !asksByForm(described.GetClientCapabilities().Elicitation) {
		return c.decideDirectly(ctx, d)
	}
	asker, ok := session.(server.SessionWithElicitation)
	if !ok {
		return c.decideDirectly(ctx, d)
	}
	question, err := c.open(ctx, d, decisionTimeout)
	if err != nil {
		return err
	}
	c.Trail.Decided(audit.VerdictNoAnswer, audit.WayElicitation)
	var answer *mcp.ElicitationResult
	late := false
	err = c.WaitForUser(ctx, c.openQuestionTo(d, "in a dialog of the client", "answer the question there"), func(ctx context.Context) (err error) {
		waiting, cancel := context.WithTimeout(ctx, decisionTimeout)
		defer cancel()
		answer, err = asker.RequestElicitation(waiting, mcp.ElicitationRequest{
			Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)},
			Params:  d.elicitation(),
		})
		late = waiting.Err() != nil
		return err
	})
	var withdrawn *tools.WithdrawnError
	switch {
	case err == nil:
		err = c.verdict(d, answer)
	case errors.As(err, &withdrawn):
		err = withdrawn.Answer("decided", "the question", d.Question.Unchanged)
	case late:
		err = d.late().Because(err)
	default:
		err = c.needsPerson(d).Because(err)
	}
	return c.settle(ctx, d, question, err)
}

// decideDirectly asks the user past a client that cannot.
func (c *asking) decideDirectly(ctx context.Context, d Decision) error {
	if c.method == nil {
		return c.needsPerson(d)
	}
	question, err := c.open(ctx, d, decisionTimeout)
	if err != nil {
		return err
	}
	c.Trail.Decided(audit.VerdictNoAnswer, c.method.Way())
	err = c.WaitForUser(ctx, c.openQuestionTo(d, "on a page in the user's browser", "decide there"), func(ctx context.Context) error {
		return c.method.Decide(ctx, d.Question, decisionTimeout)
	})
	var withdrawn *tools.WithdrawnError
	switch {
	case err == nil:
		c.Trail.Decided(audit.VerdictApproved, c.method.Way())
	case errors.As(err, &withdrawn):
		err = withdrawn.Answer("decided", "the question", d.Question.Unchanged)
	case errors.Is(err, ErrDeclined):
		c.Trail.Decided(audit.VerdictDeclined, c.method.Way())
		err = d.refused("the user said no")
	case errors.Is(err, context.DeadlineExceeded):
		err = d.late().Because(err)
	default:
		err = c.needsPerson(d).Because(err)
	}
	return c.settle(ctx, d, question, err)
}

// OpenedTo describes the question of d while it waits for the user.
func (c *asking) openQuestionTo(d Decision, where, then string) tools.OpenState {
	return tools.OpenState{
		What: "the question to the user (" + d.Question.Title + ")", Where: where, Then: then,
		Until: c.clock().Add(decisionTimeout), Unchanged: d.Question.Unchanged,
	}
}

func (d Decision) refused(how string) *tools.Error {
	return tools.NewError(tools.CodeDeclined, "%s; %s", how, d.Question.Unchanged).
		Advise("Leave it at that unless the user brings it up again.")
}

func (d Decision) late() *tools.Error {
	return tools.NewError(tools.CodeDeclined, "nobody answered within %s; %s", humantime.Span(decisionTimeout), d.Question.Unchanged).
		Advise("Call the tool again when the user is there.")
}

func (d Decision) unreadable(how string) *tools.Error {
	return tools.NewError(tools.CodeDeclined, "%s; %s", how, d.Question.Unchanged).
		Advise("The user can %s.", d.Instead)
}

// verdict reads the user's answer. Only an accepted form with the box ticked is a yes.
func (c *asking) verdict(d Decision, answer *mcp.ElicitationResult) error {
	refused := func(how string) error {
		c.Trail.Decided(audit.VerdictDeclined, audit.WayElicitation)
		return d.refused(how)
	}
	switch {
	case answer == nil:
		return d.unreadable("the client's answer could not be read")
	case answer.Action == mcp.ElicitationResponseActionDecline:
		return refused("the user said no")
	case answer.Action == mcp.ElicitationResponseActionCancel:
		return refused("the user closed the question")
	case answer.Action != mcp.ElicitationResponseActionAccept:
		return d.unreadable("the client's answer is not one that the protocol knows")
	}
	content, _ := answer.Content.(map[string]any)
	if agreed, ok := content[agreeField].(bool); !ok {
		return d.unreadable("the client's answer holds no decision")
	} else if !agreed {
		return refused("the user left the box unticked")
	}
	c.Trail.Decided(audit.VerdictApproved, audit.WayElicitation)
	return nil
}

const agreeField = "approve"

func (d Decision) elicitation() mcp.ElicitationParams {
	return mcp.ElicitationParams{
		Mode:    mcp.ElicitationModeForm,
		Message: d.Question.markdown(),
		RequestedSchema: map[string]any{
			"type": "object",
			"properties": map[string]any{
				agreeField: map[string]any{
					"type":        "boolean",
					"title":       d.Question.Agree,
					"description": "Ticked: do it. Empty: leave everything as it is.",
					"default":     false,
				},
			},
			"required": []string{agreeField},
		},
	}
}

// InTerminal returns advice to run a command that prints no secret and asks at a terminal.
func InTerminal(command string) string {
	return "run `" + command + "` in a terminal of their own"
}

func (c *asking) needsPerson(d Decision) *tools.Error {
	c.Trail.Decided(audit.VerdictNobodyToAsk, "")
	what := ""
	if d.Question.Title != "" {
		what = " (" + d.Question.Title + ")"
	}
	return tools.NewError(tools.CodeNeedsPerson, "the user has to decide this%s, and this client cannot ask them; %s", what, d.Question.Unchanged).
		Advise("Tell the user that they can %s.", d.Instead)
}

// asksByForm reports whether the client can show a form. Before modes had names, an empty
// capability meant forms.
func asksByForm(capability *mcp.ElicitationCapability) bool {
	return capability != nil && (capability.Form != nil || capability.URL == nil)
}

func (c *asking) claims(d Decision) claims {
	return claims{
		Caller:      c.Caller.ID,
		Tool:        c.Tool.Name,
		Arguments:   tools.Digest(tools.MustMarshal(c.Args)),
		Target:      d.Target,
		Fingerprint: d.Fingerprint,
	}
}
