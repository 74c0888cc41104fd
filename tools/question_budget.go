package tools

import (
	"context"
	"errors"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

// openQuestion opens the question of d in the caller's budget. The error says why the
// user is not asked.
func (c *call) openQuestion(ctx context.Context, d decision) (id string, err error) {
	subject := d.subject
	if subject == "" {
		subject = d.target
	}
	id, err = c.budget.Begin(ctx, approval.Question{
		Caller: c.caller.ID, Key: digest(mustMarshal(c.claims(d))), Target: digest([]byte(subject)),
	}, decisionTimeout)
	var held *approval.HeldBackError
	switch {
	case err == nil:
		return id, nil
	case errors.As(err, &held):
		c.decided(VerdictHeldBack, "")
		return "", c.heldBack(d, held)
	default:
		return "", newError(CodeUnavailable, "whether the user may be asked cannot be found out right now; %s", d.question.Unchanged).
			next("Call the tool again in a minute.").because(err)
	}
}

// heldBack says why the question of d is not put, and when it can be.
func (c *call) heldBack(d decision, held *approval.HeldBackError) *Error {
	until := fmt.Sprintf("%s (%s)", humantime.Relative(held.Until, c.now), timestamp(&held.Until))
	var e *Error
	switch held.Why {
	case approval.SaidNo:
		e = newError(CodeDeclined, "the user said no %s, and is not asked about this again before then: %s; %s", humantime.Relative(held.At, c.now), until, d.question.Unchanged).
			next("Leave it at that. If the user wants it after all, they can %s.", d.instead)
	case approval.NotAnswered:
		e = newError(CodeDeclined, "the user was asked about this and did not answer; they can be asked again %s; %s", until, d.question.Unchanged).
			next("Wait until the user is there. They can also %s.", d.instead)
	case approval.NotReached:
		e = c.needsPerson(d)
		c.decided(VerdictHeldBack, "")
	case approval.AlreadyOpen:
		e = newError(CodeRateLimited, "this question is open already: the user has not answered it yet; %s", d.question.Unchanged).
			next("Ask the user to answer it. No second one is put; it stays open at most until %s.", timestamp(&held.Until))
	case approval.TargetOpen:
		e = newError(CodeRateLimited, "another question about the same token is open: the user has not answered it yet; %s", d.question.Unchanged).
			next("Ask the user to answer that one first. It stays open at most until %s.", timestamp(&held.Until))
	case approval.TooManyOpen:
		e = newError(CodeRateLimited, "%d questions are open already, and the user is asked no more at once; %s", approval.MaxOpen, d.question.Unchanged).
			next("Ask the user to answer those first, then call again.")
	default:
		e = newError(CodeDeclined, "the user said no to too many questions of late, and is asked nothing new before then: %s; %s", until, d.question.Unchanged).
			next("Leave it at that. If the user wants it after all, they can %s.", d.instead)
	}
	e.RetryAfter = max(held.Until.Sub(c.now), 0)
	return e.because(held)
}

// maySilently reports an error while the user wants nothing done with token: they
// said no to something of late.
func (c *call) maySilently(ctx context.Context, token *client.Token) error {
	held, err := c.budget.Silence(ctx, c.caller.ID, digest([]byte(token.ID)))
	switch {
	case err != nil:
		return newError(CodeUnavailable, "whether the user wants changes of this token cannot be found out right now; the token was not changed").
			next("Call the tool again in a minute.").because(err)
	case held == nil || held.Why != approval.SaidNo:
		return nil
	}
	c.decided(VerdictHeldBack, "")
	return c.heldBack(decision{
		question: Question{Unchanged: "the token was not changed"},
		instead:  inTerminal("kenbun-mcp tokens update " + token.ID + c.terminalFlags),
	}, held)
}

// maySendNewToken reports an error while the user wants no new tokens: they threw
// one away, or said no to one.
func (c *call) maySendNewToken(ctx context.Context) error {
	held, err := c.budget.Silence(ctx, c.caller.ID, digest([]byte(newTokenSubject)))
	switch {
	case err != nil:
		return newError(CodeUnavailable, "whether the user wants a new token cannot be found out right now; no token was made").
			next("Call the tool again in a minute.").because(err)
	case held == nil || held.Why != approval.SaidNo:
		return nil
	}
	c.decided(VerdictHeldBack, "")
	return c.heldBack(decision{
		question: Question{Unchanged: "no token was made"}, instead: makeInKenbun,
	}, held)
}

// thrownAway counts a token that the user did not want as a no to further ones.
func (c *call) thrownAway(ctx context.Context, err error) {
	if e, ok := asError(err); !ok || e.Code != CodeDeclined {
		return
	}
	if err := c.budget.Note(context.WithoutCancel(ctx), c.caller.ID, digest([]byte(newTokenSubject)), approval.Declined); err != nil {
		c.logger.Warn("that the user threw a token away could not be noted", "cause", err)
	}
}

// withdraw ends the question of state if it is about the same call, and its target
// is not what it was.
func (c *call) withdraw(ctx context.Context, d decision, state string) {
	opened, _ := c.sealer.look(state, c.claims(d))
	asked, now := opened.Claims, c.claims(d)
	if opened.Question == "" || asked.Caller != now.Caller || asked.Tool != now.Tool || asked.Arguments != now.Arguments {
		return
	}
	outcome := approval.Withdrawn
	answer := server.ElicitationResponse(c.request.Params.InputResponses, decisionKey)
	if answer != nil && (answer.Action == mcp.ElicitationResponseActionDecline || answer.Action == mcp.ElicitationResponseActionCancel) {
		outcome = approval.Declined
	}
	if err := c.budget.Settle(context.WithoutCancel(ctx), c.caller.ID, opened.Question, outcome); err != nil && !errors.Is(err, approval.ErrNotOpen) {
		c.logger.Warn("the end of a question could not be noted; it counts as open until it runs out", "cause", err)
	}
}

// isOpen reports whether the question id still waits for its answer.
func (c *call) isOpen(ctx context.Context, id string) bool {
	is, err := c.budget.IsOpen(ctx, c.caller.ID, id)
	return err == nil && is
}

// settle ends the question id, whose answer led to result. A yes counts only if
// the question was open until now, whatever the clock says.
func (c *call) settle(ctx context.Context, d decision, id string, result error) error {
	outcome := approval.Unanswered
	switch c.trail.verdict {
	case VerdictApproved:
		outcome = approval.Agreed
	case VerdictDeclined:
		outcome = approval.Declined
	case VerdictNobodyToAsk:
		outcome = approval.Unreachable
	}
	err := c.budget.Settle(context.WithoutCancel(ctx), c.caller.ID, id, outcome)
	switch {
	case result != nil:
		if err != nil && !errors.Is(err, approval.ErrNotOpen) {
			c.logger.Warn("the end of a question could not be noted; it counts as open until it runs out", "cause", err)
		}
		return result
	case errors.Is(err, approval.ErrNotOpen):
		c.decided(VerdictNoAnswer, c.trail.way)
		return newError(CodeDeclined, "the answer does not count, since the question was answered before or has run out; %s", d.question.Unchanged).
			next("Call the tool again; the user is asked anew.").because(err)
	case err != nil:
		c.decided(VerdictNoAnswer, c.trail.way)
		return newError(CodeUnavailable, "the answer to the question cannot be counted right now; %s", d.question.Unchanged).
			next("Call the tool again in a minute.").because(err)
	}
	return nil
}
