package tools

import (
	"context"
	"errors"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
)

// decisionTimeout is how long a person may think, and how long an answer that
// travels through the client stays valid.
const decisionTimeout = 5 * time.Minute

// A decision is something that a person has to agree to before it is done.
type decision struct {
	// target is the id of what it is about.
	target string
	// subject is what the user is not asked about again after a no, whatever is to
	// be done with it and by which arguments. Empty: target.
	subject string
	// fingerprint stands for the target as the person was shown it: an answer
	// counts for this and for nothing that the target became meanwhile.
	fingerprint string
	question    Question
	// instead is what the user can do without the assistant, after "can". It names no
	// command that prints a secret: a model with a shell would run it.
	instead string
}

// permit returns a context for what follows if d may be done: after the user's yes if
// asks is set, and else unless they said no to something about the same target of
// late.
func (c *call) permit(ctx context.Context, d decision, asks bool) (context.Context, error) {
	if !asks || c.policy.Approval == ApprovalClient {
		if err := c.touch(ctx, d); err != nil {
			return nil, err
		}
	}
	if !asks {
		return ctx, c.heardNo(ctx, d)
	}
	return c.decide(ctx, d)
}

// heardNo returns the user's no to a question that the same call asked before, and
// would not ask any more.
func (c *call) heardNo(ctx context.Context, d decision) error {
	state := c.request.Params.RequestState
	if state == "" || !server.IsModernRequest(ctx) {
		return nil
	}
	if _, asked := c.asked(d, state); !asked {
		return nil
	}
	defer c.withdraw(ctx, d, state)
	answer := server.ElicitationResponse(c.request.Params.InputResponses, decisionKey)
	if answer == nil {
		return nil // it is not asked any more
	}
	return c.verdict(d, answer)
}

// decide returns a context for what follows once the user has agreed to d. Every
// other outcome is an error: an *inputRequired while the question is on its way to
// the user, an *Error where the answer was no, or was no answer, or nobody could be
// asked.
//
// Nothing in a tool's arguments takes part in it.
func (c *call) decide(ctx context.Context, d decision) (context.Context, error) {
	var err error
	switch {
	case c.policy.Approval == ApprovalClient:
		c.decided(VerdictTrustedClient, "")
		return ctx, nil
	case c.policy.Approval != ApprovalAsk:
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
	return c.stretch(), nil
}

// inputRequired carries a question to the client, which calls again with the
// answer (protocol 2026-07-28, multi round-trip requests).
type inputRequired struct{ result *mcp.CallToolResult }

func (*inputRequired) Error() string { return "waiting for the person's decision" }

const decisionKey = "decision"

// decideAcrossRounds asks through the result of the call. What the server has
// to remember meanwhile travels through the client, sealed.
func (c *call) decideAcrossRounds(ctx context.Context, d decision) error {
	info := server.RequestProtocolInfoFromContext(ctx)
	if info == nil || info.ClientCapabilities == nil || !asksByForm(info.ClientCapabilities.Elicitation) {
		return c.decideDirectly(ctx, d)
	}
	_, answered := c.request.Params.InputResponses[decisionKey]
	if state := c.request.Params.RequestState; state != "" {
		opened, err := c.sealer.look(state, c.claims(d))
		switch {
		case answered:
			return c.answeredAcrossRounds(ctx, d, state)
		case err == nil && c.isOpen(ctx, opened.Question):
			// The client has lost no more than the answer: it is the same question.
			return asking(d, state)
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
	return asking(d, state)
}

func asking(d decision, state string) error {
	return &inputRequired{
		result: server.NewInputRequestBuilder(state).Elicit(decisionKey, d.elicitation()).ToolResult(),
	}
}

// answeredAcrossRounds counts the answer that came with state.
func (c *call) answeredAcrossRounds(ctx context.Context, d decision, state string) error {
	c.decided(VerdictNoAnswer, WayElicitation)
	err := c.sealer.open(ctx, state, c.claims(d))
	switch {
	case errors.Is(err, errStateOther):
		c.withdraw(ctx, d, state)
		return newError(CodeDeclined, "the answer to the question does not count (%s); %s", err, d.question.Unchanged).
			next("Call the tool again; the person is asked anew.").because(err)
	case errors.Is(err, errStateUnknown):
		return newError(CodeUnavailable, "the answer to the question cannot be counted (%s); %s", errStateUnknown, d.question.Unchanged).
			next("Call the tool again in a minute; the person is asked anew.").because(err).reasoned(reasonSharedState)
	case err != nil:
		return newError(CodeDeclined, "the answer to the question does not count (%s); %s", err, d.question.Unchanged).
			next("Call the tool again; the person is asked anew.").because(err)
	}
	opened, err := c.sealer.look(state, c.claims(d))
	if err != nil {
		return d.late().because(err)
	}
	return c.settle(ctx, d, opened.Question, c.verdict(d, server.ElicitationResponse(c.request.Params.InputResponses, decisionKey)))
}

// decideInSession asks over the client's session, as protocols before
// 2026-07-28 do, and waits.
func (c *call) decideInSession(ctx context.Context, d decision) error {
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
	c.decided(VerdictNoAnswer, WayElicitation)
	var answer *mcp.ElicitationResult
	late := false
	err = c.work.waitForUser(ctx, c.openQuestionTo(d, "in a dialog of the client", "answer the question there"), func(ctx context.Context) (err error) {
		waiting, cancel := context.WithTimeout(ctx, decisionTimeout)
		defer cancel()
		answer, err = asker.RequestElicitation(waiting, mcp.ElicitationRequest{
			Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)},
			Params:  d.elicitation(),
		})
		late = waiting.Err() != nil
		return err
	})
	var withdrawn *withdrawnError
	switch {
	case err == nil:
		err = c.verdict(d, answer)
	case errors.As(err, &withdrawn):
		err = withdrawn.answer("decided", "the question", d.question.Unchanged)
	case late:
		err = d.late().because(err)
	default:
		err = c.needsPerson(d).because(err)
	}
	return c.settle(ctx, d, question, err)
}

// decideDirectly asks the person past a client that cannot.
func (c *call) decideDirectly(ctx context.Context, d decision) error {
	if c.person == nil {
		return c.needsPerson(d)
	}
	question, err := c.open(ctx, d, decisionTimeout)
	if err != nil {
		return err
	}
	c.decided(VerdictNoAnswer, c.person.Way())
	err = c.work.waitForUser(ctx, c.openQuestionTo(d, "on a page in the user's browser", "decide there"), func(ctx context.Context) error {
		return c.person.Decide(ctx, d.question, decisionTimeout)
	})
	var withdrawn *withdrawnError
	switch {
	case err == nil:
		c.decided(VerdictApproved, c.person.Way())
	case errors.As(err, &withdrawn):
		err = withdrawn.answer("decided", "the question", d.question.Unchanged)
	case errors.Is(err, ErrDeclined):
		c.decided(VerdictDeclined, c.person.Way())
		err = d.refused("the person said no")
	case errors.Is(err, context.DeadlineExceeded):
		err = d.late().because(err)
	default:
		err = c.needsPerson(d).because(err)
	}
	return c.settle(ctx, d, question, err)
}

// openQuestionTo describes the question of d while it waits for the user.
func (c *call) openQuestionTo(d decision, where, then string) openState {
	return openState{
		What: "the question to the user (" + d.question.Title + ")", Where: where, Then: then,
		Until: c.clock().Add(decisionTimeout), Unchanged: d.question.Unchanged,
	}
}

func (d decision) refused(how string) *Error {
	return newError(CodeDeclined, "%s; %s", how, d.question.Unchanged).
		next("Leave it at that unless the person brings it up again.")
}

func (d decision) late() *Error {
	return newError(CodeDeclined, "nobody answered within %s; %s", humantime.Span(decisionTimeout), d.question.Unchanged).
		next("Call the tool again when the person is there.")
}

func (d decision) unreadable(how string) *Error {
	return newError(CodeDeclined, "%s; %s", how, d.question.Unchanged).
		next("The user can %s.", d.instead)
}

// verdict reads the person's answer. Only an accepted form with the box ticked
// is a yes.
func (c *call) verdict(d decision, answer *mcp.ElicitationResult) error {
	refused := func(how string) error {
		c.decided(VerdictDeclined, WayElicitation)
		return d.refused(how)
	}
	switch {
	case answer == nil:
		return d.unreadable("the client's answer could not be read")
	case answer.Action == mcp.ElicitationResponseActionDecline:
		return refused("the person said no")
	case answer.Action == mcp.ElicitationResponseActionCancel:
		return refused("the person closed the question")
	case answer.Action != mcp.ElicitationResponseActionAccept:
		return d.unreadable("the client's answer is not one that the protocol knows")
	}
	content, _ := answer.Content.(map[string]any)
	if agreed, ok := content[agreeField].(bool); !ok {
		return d.unreadable("the client's answer holds no decision")
	} else if !agreed {
		return refused("the person left the box empty")
	}
	c.decided(VerdictApproved, WayElicitation)
	return nil
}

const agreeField = "approve"

func (d decision) elicitation() mcp.ElicitationParams {
	return mcp.ElicitationParams{
		Mode:    mcp.ElicitationModeForm,
		Message: d.question.markdown(),
		RequestedSchema: map[string]any{
			"type": "object",
			"properties": map[string]any{
				agreeField: map[string]any{
					"type":        "boolean",
					"title":       d.question.Agree,
					"description": "Ticked: do it. Empty: leave everything as it is.",
					"default":     false,
				},
			},
			"required": []string{agreeField},
		},
	}
}

// inTerminal is what a user can do with a command that prints no secret and asks
// at a terminal.
func inTerminal(command string) string {
	return "run `" + command + "` in a terminal of their own"
}

func (c *call) needsPerson(d decision) *Error {
	c.decided(VerdictNobodyToAsk, "")
	what := ""
	if d.question.Title != "" {
		what = " (" + d.question.Title + ")"
	}
	return newError(CodeNeedsPerson, "a person has to decide this%s, and this client cannot ask one; %s", what, d.question.Unchanged).
		next("Tell the user that they can %s.", d.instead)
}

// asksByForm reports whether the client can put a form before its user. Before
// modes had names, an empty capability meant forms.
func asksByForm(capability *mcp.ElicitationCapability) bool {
	return capability != nil && (capability.Form != nil || capability.URL == nil)
}

func (c *call) claims(d decision) claims {
	return claims{
		Caller:      c.caller.ID,
		Tool:        c.tool.Name,
		Arguments:   digest(mustMarshal(c.args)),
		Target:      d.target,
		Fingerprint: d.fingerprint,
	}
}
