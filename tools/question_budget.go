package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

// openQuestion names a question in the budget of an account.
type openQuestion struct {
	// Account is kept with the id: the API may say only later who the user is.
	Account string `json:"account"`
	ID      string `json:"id"`
}

// open opens the question of d for at most limit. The error says why the user is not
// asked.
func (c *call) open(ctx context.Context, d decision, limit time.Duration) (openQuestion, error) {
	var id string
	account, err := c.enter(ctx, d, "the user may be asked", func(account string) (err error) {
		id, err = c.budget.Begin(ctx, approval.Question{
			Account: account, Key: digest(mustMarshal(c.claims(d))), Target: d.targetKey(),
		}, limit)
		return err
	})
	return openQuestion{Account: account, ID: id}, err
}

// touch reports an error while the user wants nothing done with the target of d.
func (c *call) touch(ctx context.Context, d decision) error {
	_, err := c.enter(ctx, d, "the user wants this", func(account string) error { return c.budget.Touch(ctx, account, d.targetKey()) })
	return err
}

// enter is the one way to the target of a decision: it asks the budget of the
// user's account whether the target may be asked about, or touched. whether
// completes the sentence for a budget that does not answer.
func (c *call) enter(ctx context.Context, d decision, whether string, ask func(account string) error) (account string, err error) {
	if account, err = c.account(ctx); err != nil {
		return "", err
	}
	err = ask(account)
	var held *approval.HeldBackError
	switch {
	case err == nil:
		return account, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &held):
		c.decided(VerdictHeldBack, "")
		return "", c.heldBack(d, held)
	}
	return "", newError(CodeUnavailable, "whether %s cannot be found out right now; %s", whether, d.question.Unchanged).
		next("Call the tool again in a minute.").because(err).reasoned(reasonSharedState)
}

// targetKey is the target of d as the budget knows it.
func (d decision) targetKey() string {
	if d.subject != "" {
		return digest([]byte(d.subject))
	}
	return digest([]byte(d.target))
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

// thrownAway counts a token that the user did not want as a no to further ones.
func (c *call) thrownAway(ctx context.Context, err error) {
	if e, ok := asError(err); !ok || e.Code != CodeDeclined {
		return
	}
	ctx = context.WithoutCancel(ctx)
	account, err := c.account(ctx)
	if err == nil {
		err = c.budget.Note(ctx, account, digest([]byte(newTokenSubject)), approval.Declined)
	}
	if err != nil {
		c.logger.Warn("that the user threw a token away could not be noted", "cause", err)
	}
}

// openPage opens the question that the page for the new token want is: only one such
// page is open at a time.
func (c *call) openPage(ctx context.Context, want client.NewToken, limit time.Duration) (openQuestion, error) {
	return c.open(ctx, decision{
		target: want.Name, subject: newTokenSubject, question: Question{Unchanged: "no token was made"}, instead: makeInKenbun,
	}, limit)
}

// closePage ends that question. err is why the user did not ask for the token.
func (c *call) closePage(ctx context.Context, question openQuestion, err error) {
	outcome := approval.Withdrawn // the call was cancelled, or no page could be shown
	switch e, ok := asError(err); {
	case err == nil:
		outcome = approval.Agreed
	case ok && e.Code == CodeDeclined:
		outcome = approval.Declined
	case ok && e.Code == CodeCannotDeliver:
		outcome = approval.Unanswered
	}
	c.endQuestion(ctx, question, outcome)
}

// endQuestion ends a question on whose answer nothing rests any more.
func (b *Toolbox) endQuestion(ctx context.Context, question openQuestion, outcome approval.Outcome) {
	err := b.budget.Settle(context.WithoutCancel(ctx), question.Account, question.ID, outcome)
	if err != nil && !errors.Is(err, approval.ErrNotOpen) {
		b.log.Warn("the end of a question could not be noted; it counts as open until it runs out", "request_id", RequestID(ctx), "cause", err)
	}
}

// withdraw ends the question of state if it is about the same call, and its target
// is not what it was.
func (c *call) withdraw(ctx context.Context, d decision, state string) {
	question, asked := c.asked(d, state)
	if !asked {
		return
	}
	outcome := approval.Withdrawn
	answer := server.ElicitationResponse(c.request.Params.InputResponses, decisionKey)
	if answer != nil && (answer.Action == mcp.ElicitationResponseActionDecline || answer.Action == mcp.ElicitationResponseActionCancel) {
		outcome = approval.Declined
	}
	c.endQuestion(ctx, question, outcome)
}

// asked returns the question that state is of, and whether the same call asked it,
// whatever became of its target.
func (c *call) asked(d decision, state string) (openQuestion, bool) {
	opened, _ := c.sealer.look(state, c.claims(d))
	asked, now := opened.Claims, c.claims(d)
	return opened.Question, opened.Question.ID != "" && asked.Caller == now.Caller && asked.Tool == now.Tool && asked.Arguments == now.Arguments
}

// isOpen reports whether a question still waits for its answer.
func (c *call) isOpen(ctx context.Context, question openQuestion) bool {
	is, err := c.budget.IsOpen(ctx, question.Account, question.ID)
	return err == nil && is
}

// settle ends a question whose answer led to result. A yes counts only if the
// question was open until now, whatever the clock says.
func (c *call) settle(ctx context.Context, d decision, question openQuestion, result error) error {
	outcome := approval.Unanswered
	switch c.trail.verdict {
	case VerdictApproved:
		outcome = approval.Agreed
	case VerdictDeclined:
		outcome = approval.Declined
	case VerdictNobodyToAsk:
		outcome = approval.Unreachable
	}
	err := c.budget.Settle(context.WithoutCancel(ctx), question.Account, question.ID, outcome)
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
			next("Call the tool again in a minute.").because(err).reasoned(reasonSharedState)
	}
	return nil
}
