package approval

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// Question is what a user is asked before something irreversible. Its texts are plain and on
// one line.
type Question struct {
	// Title asks, such as "Revoke this kenbun token?".
	Title string
	// Facts describe the target.
	Facts []Fact
	// Consequence says what happens after a yes.
	Consequence string
	// Agree labels the button or box that means yes.
	Agree string
	// Unchanged says what does not happen after a no.
	Unchanged string
}

// Fact is one thing that a user should know to decide well.
type Fact struct {
	Label, Value string
	// Outside means that Value holds text that somebody else wrote, such as a name.
	Outside bool
}

// NameFact states a name, in quotation marks.
func NameFact(label, name string) Fact {
	return Fact{Label: label, Value: plaintext.Quote(name), Outside: true}
}

// Text returns the question in lines, for a place that shows text as it is.
func (q Question) Text() string { return q.text(func(f Fact) string { return f.Value }) }

// markdown returns the question in lines, with text from others in code spans, where
// Markdown renders nothing.
func (q Question) markdown() string {
	return q.text(func(f Fact) string {
		if f.Outside {
			return codeSpan(f.Value)
		}
		return f.Value
	})
}

func (q Question) text(value func(Fact) string) string {
	var b strings.Builder
	b.WriteString(q.Title + "\n\n")
	for _, fact := range q.Facts {
		fmt.Fprintf(&b, "%s: %s\n", fact.Label, value(fact))
	}
	b.WriteString("\n" + q.Consequence)
	return b.String()
}

// codeSpan returns s as a code span. A backtick becomes an apostrophe: renderers disagree on
// escaping it.
func codeSpan(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

// ErrUnreachable indicates that there is no browser to show the user a page in.
var ErrUnreachable = errors.New("the user cannot be reached")

// Method asks the user behind the assistant directly, past client and model.
type Method interface {
	// Decide asks and waits until ctx is done or limit has passed. It returns nil for a yes,
	// ErrDeclined for a no, ErrUnreachable if the user cannot be asked, and
	// context.DeadlineExceeded if no answer came in time.
	Decide(ctx context.Context, question Question, limit time.Duration) error
	// Way is how the user is asked, for the audit log.
	Way() audit.Way
}

// ErrDeclined means that the user said no.
var ErrDeclined = errors.New("the user said no")

// Opened names an open question in the budget of an account.
type Opened struct {
	// Account is kept with the id: the API may say only later who the user is.
	Account string `json:"account"`
	ID      string `json:"id"`
}

// open opens the question of d for at most limit. The error says why the user is not asked.
func (c *asking) open(ctx context.Context, d Decision, limit time.Duration) (Opened, error) {
	var id string
	account, err := c.enter(ctx, d, "the user may be asked", func(account string) (err error) {
		id, err = c.budget.Begin(ctx, Ask{
			Account: account, Key: tools.Digest(tools.MustMarshal(c.claims(d))), Target: d.targetKey(),
		}, limit)
		return err
	})
	return Opened{Account: account, ID: id}, err
}

// touch reports an error while the user wants nothing done with the target of d.
func (c *asking) touch(ctx context.Context, d Decision) error {
	_, err := c.enter(ctx, d, "the user wants this", func(account string) error { return c.budget.Touch(ctx, account, d.targetKey()) })
	return err
}

// enter asks the budget of the user's account whether the target of d may be asked about, or
// touched. whether completes the sentence for a budget that does not answer.
func (c *asking) enter(ctx context.Context, d Decision, whether string, ask func(account string) error) (account string, err error) {
	if account, err = c.Account(ctx); err != nil {
		return "", err
	}
	err = ask(account)
	var held *HeldBackError
	switch {
	case err == nil:
		return account, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &held):
		c.Trail.Decided(audit.VerdictHeldBack, "")
		return "", c.heldBack(d, held)
	}
	return "", tools.NewError(tools.CodeUnavailable, "whether %s cannot be found out right now; %s", whether, d.Question.Unchanged).
		Advise("Call the tool again in a minute.").Because(err).Reasoned(tools.ReasonSharedState)
}

// targetKey is the target of d as the budget knows it.
func (d Decision) targetKey() string {
	if d.Subject != "" {
		return tools.Digest([]byte(d.Subject))
	}
	return tools.Digest([]byte(d.Target))
}

// heldBack says why the question of d is not put, and when it can be.
func (c *asking) heldBack(d Decision, held *HeldBackError) *tools.Error {
	until := fmt.Sprintf("%s (%s)", humantime.Relative(held.Until, c.Now), tools.Timestamp(&held.Until))
	var e *tools.Error
	switch held.Why {
	case SaidNo:
		e = tools.NewError(tools.CodeDeclined, "the user said no %s, and is not asked about this again before then: %s; %s", humantime.Relative(held.At, c.Now), until, d.Question.Unchanged).
			Advise("Leave it at that. If the user wants it after all, they can %s.", d.Instead)
	case NotAnswered:
		e = tools.NewError(tools.CodeDeclined, "the user was asked about this and did not answer; they can be asked again %s; %s", until, d.Question.Unchanged).
			Advise("Wait until the user is there. They can also %s.", d.Instead)
	case NotReached:
		e = c.needsPerson(d)
		c.Trail.Decided(audit.VerdictHeldBack, "")
	case AlreadyOpen:
		e = tools.NewError(tools.CodeRateLimited, "this question is open already: the user has not answered it yet; %s", d.Question.Unchanged).
			Advise("Ask the user to answer it. No second one is put; it stays open at most until %s.", tools.Timestamp(&held.Until))
	case TargetOpen:
		e = tools.NewError(tools.CodeRateLimited, "another question about the same %s is open: the user has not answered it yet; %s", d.Kind, d.Question.Unchanged).
			Advise("Ask the user to answer that one first. It stays open at most until %s.", tools.Timestamp(&held.Until))
	case TooManyOpen:
		e = tools.NewError(tools.CodeRateLimited, "%d questions are open already, and the user is asked no more at once; %s", MaxOpen, d.Question.Unchanged).
			Advise("Ask the user to answer those first, then call again.")
	default:
		e = tools.NewError(tools.CodeDeclined, "the user said no to too many questions of late, and is asked nothing new before then: %s; %s", until, d.Question.Unchanged).
			Advise("Leave it at that. If the user wants it after all, they can %s.", d.Instead)
	}
	e.RetryAfter = max(held.Until.Sub(c.Now), 0)
	return e.Because(held)
}

// Open opens the question of d for at most limit, if the user is asked in another way. The
// error says why they are not asked. [Approver.End] ends it.
func (a *Approver) Open(ctx context.Context, call *tools.Call, d Decision, limit time.Duration) (Opened, error) {
	return (&asking{call, a}).open(ctx, d, limit)
}

// End ends a question on whose answer nothing rests any more.
func (a *Approver) End(ctx context.Context, question Opened, outcome Outcome) {
	err := a.budget.Settle(context.WithoutCancel(ctx), question.Account, question.ID, outcome)
	if err != nil && !errors.Is(err, ErrNotOpen) {
		a.log.Warn("the end of a question could not be noted; it counts as open until it runs out", "request_id", tools.RequestID(ctx), "cause", err)
	}
}

// NoteNo counts a no that the user said other than to a question about subject.
func (a *Approver) NoteNo(ctx context.Context, call *tools.Call, subject string) error {
	ctx = context.WithoutCancel(ctx)
	account, err := call.Account(ctx)
	if err != nil {
		return err
	}
	return a.budget.Note(ctx, account, tools.Digest([]byte(subject)), Declined)
}

// withdraw ends the question of state if it is about the same call, and its target has
// changed.
func (c *asking) withdraw(ctx context.Context, d Decision, state string) {
	question, asked := c.asked(d, state)
	if !asked {
		return
	}
	outcome := Withdrawn
	answer := server.ElicitationResponse(c.Request.Params.InputResponses, decisionKey)
	if answer != nil && (answer.Action == mcp.ElicitationResponseActionDecline || answer.Action == mcp.ElicitationResponseActionCancel) {
		outcome = Declined
	}
	c.End(ctx, question, outcome)
}

// asked returns the question of state, and whether the same call asked it, even if its
// target has changed.
func (c *asking) asked(d Decision, state string) (Opened, bool) {
	opened, _ := c.sealer.look(state, c.claims(d))
	asked, now := opened.Claims, c.claims(d)
	return opened.Question, opened.Question.ID != "" && asked.Caller == now.Caller && asked.Tool == now.Tool && asked.Arguments == now.Arguments
}

// isOpen reports whether a question still waits for its answer.
func (c *asking) isOpen(ctx context.Context, question Opened) bool {
	is, err := c.budget.IsOpen(ctx, question.Account, question.ID)
	return err == nil && is
}

// settle ends a question whose answer led to result. A yes counts only if the question was
// still open.
func (c *asking) settle(ctx context.Context, d Decision, question Opened, result error) error {
	outcome := Unanswered
	switch c.Trail.Verdict {
	case audit.VerdictApproved:
		outcome = Agreed
	case audit.VerdictDeclined:
		outcome = Declined
	case audit.VerdictNobodyToAsk:
		outcome = Unreachable
	}
	err := c.budget.Settle(context.WithoutCancel(ctx), question.Account, question.ID, outcome)
	switch {
	case result != nil:
		if err != nil && !errors.Is(err, ErrNotOpen) {
			c.Log.Warn("the end of a question could not be noted; it counts as open until it runs out", "cause", err)
		}
		return result
	case errors.Is(err, ErrNotOpen):
		c.Trail.Decided(audit.VerdictNoAnswer, c.Trail.Way)
		return tools.NewError(tools.CodeDeclined, "the answer does not count, since the question was answered before or has run out; %s", d.Question.Unchanged).
			Advise("Call the tool again; the user is asked again.").Because(err)
	case err != nil:
		c.Trail.Decided(audit.VerdictNoAnswer, c.Trail.Way)
		return tools.NewError(tools.CodeUnavailable, "the answer to the question cannot be counted right now; %s", d.Question.Unchanged).
			Advise("Call the tool again in a minute.").Because(err).Reasoned(tools.ReasonSharedState)
	}
	return nil
}
