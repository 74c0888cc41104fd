package tokens

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// revokeTimeout bounds revoking an undelivered token, even after the call was cancelled.
const revokeTimeout = 15 * time.Second

// mint creates a token and delivers it with handOver. A token that cannot be delivered is
// revoked, even if nobody waits for the call any more.
func (c *call) mint(
	ctx context.Context, want client.NewToken,
	handOver handOver,
) (*client.CreatedToken, Receipt, error) {
	journal, err := c.begin(ctx, want)
	if err != nil {
		return nil, Receipt{}, err
	}
	c.Trail.InDoubt()
	created, err := c.Caller.API.CreateToken(ctx, want)
	if err != nil {
		c.notCreated(err)
		journal.failed(err)
		return nil, Receipt{}, creationFailed(err)
	}
	journal.made(created.ID)
	c.Trail.Step.Target = created.ID
	c.Trail.Acted(audit.OutcomeDone, audit.LeftLive)
	c.Log.Info("token created", "id", created.ID, "prefix", publicPrefix(&created.Token))
	defer c.unclaimed.add(created.ID)()
	ctx = journal.within(context.WithoutCancel(ctx))
	c.Trail.Next(audit.ActionDeliver, created.ID)
	var receipt Receipt
	if err = c.wanted(); err == nil {
		receipt, err = c.handOver(ctx, created, handOver)
	}
	// A value that was overwritten does not come back: the new one stays in its place.
	if err == nil && !receipt.Held && receipt.Method != methodInPlace && !c.overwrites() {
		err = c.wanted()
	}
	if err != nil {
		c.Trail.Acted(audit.Outcome(cannotDeliver(err, "").Code), audit.LeftLive)
		return nil, Receipt{}, c.undelivered(ctx, created, err, journal)
	}
	c.delivered(receipt)
	journal.delivered(receipt)
	if receipt.onlyInAnswer() {
		c.Undo = func() { c.unheard(created) } //nolint:contextcheck // it comes after the call
	}
	return created, receipt, nil
}

// wanted reports an error once nobody wants the token any more.
func (c *call) wanted() error {
	if cause := c.Over(); cause != nil {
		return fmt.Errorf("nobody wants the token any more: %w", cause)
	}
	return nil
}

// unheard revokes a token that only an answer leads to which nobody gets.
func (c *call) unheard(created *client.CreatedToken) {
	defer func() {
		if r := recover(); r != nil {
			c.Log.Error("taking a token back panicked", "id", created.ID, "cause", fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), revokeTimeout)
	defer cancel()
	err := c.takeBack(ctx, c.Caller.API, created, audit.ReasonUndelivered)
	if err != nil {
		c.Log.Error("the answer with a new token reached nobody, and it is not certain that the token is revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", err)
		return
	}
	c.Log.Warn("the answer with a new token reached nobody; the token was revoked", "id", created.ID, "prefix", publicPrefix(&created.Token))
}

// receive waits until the user is there to take the token, if the delivery method needs
// that. It returns a context for what follows.
func (c *call) receive(ctx context.Context, want client.NewToken) (context.Context, error) {
	receiver, ok := c.deliverer.(Receiver)
	if !ok {
		return ctx, nil
	}
	limit := receiver.Waits()
	if limit <= 0 {
		return ctx, nil
	}
	// Only one such page is open at a time.
	question, err := c.approver.Open(ctx, c.Call, newTokenDecision(want.Name), limit)
	if err != nil {
		return nil, err
	}
	pickup, err := receiver.Expect(ctx, want)
	if err != nil {
		c.closePage(ctx, question, err)
		return nil, cannotDeliver(err, "no token was made")
	}
	err = c.WaitForUser(ctx, tools.OpenState{
		What: "the page for the new token", Where: "in the user's browser", Then: "ask for the token there",
		Until: pickup.Until(), Unchanged: "no token was made",
	}, pickup.Asked)
	c.closePage(ctx, question, err)
	var withdrawn *tools.WithdrawnError
	switch {
	case errors.As(err, &withdrawn):
		pickup.Close()
		return nil, withdrawn.Answer("asked for the token", "the page", "no token was made")
	case err != nil:
		return nil, cannotDeliver(err, "no token was made")
	}
	c.pickup = pickup
	// The user may have taken minutes.
	if err := c.Auditable(); err != nil {
		pickup.Close()
		return nil, err
	}
	return c.Stretch(), nil
}

// closePickup closes the place where the user asked for the token.
func (c *call) closePickup() {
	if c.pickup != nil {
		c.pickup.Close()
	}
}

// handOver delivers the value of a new token.
type handOver func(context.Context, *client.CreatedToken) (Receipt, error)

// handOver turns a panic of the delivery method into an error, so that the token is revoked.
func (c *call) handOver(ctx context.Context, created *client.CreatedToken, deliver handOver) (receipt Receipt, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.Log.Error("the delivery method panicked", "cause", fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
			err = errors.New("something went wrong on the way to the user")
		}
	}()
	return deliver(ctx, created)
}

// deliver uses the operator's delivery method.
func (c *call) deliver(ctx context.Context, created *client.CreatedToken) (Receipt, error) {
	c.Trail.Step.Method = c.deliverer.Method()
	if err := c.wanted(); err != nil {
		return Receipt{}, err // something may be overwritten from here on
	}
	if c.pickup != nil {
		return c.pickup.Deliver(ctx, c.Caller, created)
	}
	if overwriting, ok := c.deliverer.(Overwriting); ok && c.current != nil {
		return overwriting.Overwrite(ctx, c.Caller, created, *c.current)
	}
	return c.deliverer.Deliver(ctx, c.Caller, created)
}

// lookAtCurrent notes what a new token would take the place of.
func (c *call) lookAtCurrent(ctx context.Context) error {
	overwriting, ok := c.deliverer.(Overwriting)
	if !ok {
		return nil
	}
	current, err := overwriting.Current(ctx)
	if err != nil {
		return err
	}
	c.current = &current
	return nil
}

// overwrites reports whether a value is lost when the new token is delivered.
func (c *call) overwrites() bool { return c.current != nil && c.current.What != "" }

// withCurrent has the user decide about the value that is lost, too.
func (c *call) withCurrent(d approval.Decision) approval.Decision {
	if c.overwrites() {
		d.Question.Facts = append(d.Question.Facts, approval.Fact{Label: "It takes the place of", Value: c.current.What})
		d.Fingerprint = tools.Digest([]byte(d.Fingerprint + " " + c.current.Digest))
	}
	return d
}

// checkCurrent fails if the value that would be lost is not the one that the user was asked
// about.
func (c *call) checkCurrent(ctx context.Context) error {
	overwriting, ok := c.deliverer.(Overwriting)
	if !ok || c.current == nil {
		return nil
	}
	now, err := overwriting.Current(ctx)
	if err != nil {
		return cannotDeliver(err, "no token was made")
	}
	if now != *c.current {
		return tools.NewError(tools.CodeDeclined, "%s; no token was made", ErrCurrentChanged).
			Advise("Call the tool again; the user is asked again where a value would be lost.")
	}
	return nil
}

// cannotDeliver says why no value can reach the user, and what is left.
func cannotDeliver(err error, left string) *tools.Error {
	if e, ok := tools.AsError(err); ok {
		return tools.NewError(e.Code, "%s; %s", e.Message, left).Advise("%s", e.Next).Because(err)
	}
	return tools.NewError(tools.CodeCannotDeliver, "%s; %s", err, left).
		Advise("The user or the operator has to fix this; then call again.").Because(err)
}

// creationFailed says what is left of a token whose creation did not plainly succeed.
func creationFailed(err error) error {
	var outcome *client.CreateError
	if !errors.As(err, &outcome) {
		// A plain refusal, or the request never left.
		e := upstream(err, "create the token")
		e.Message += "; no token was made"
		if e.Code == tools.CodeInvalidArgument {
			e.Next = "Check the name (1 to 100 characters), the expiry (in the future) and, if there are any, the permissions (whoami shows those there are)."
		}
		return e
	}
	var api *client.Error
	differs := errors.As(err, &api) && api.Cause == client.CauseMismatch
	if differs && outcome.Outcome == client.OutcomeRevoked {
		return tools.NewError(tools.CodeUnavailable, "kenbun made another token than it was asked for: %s; the token was revoked, nothing is left of it", api.Reason).
			Advise("The same call would end in the same way. Call again only with what kenbun makes of it, such as the expiry that it gave the token, if the user wants that.").Because(err)
	}
	again := "It is safe to call again."
	if api != nil && !api.MayPass() {
		again = "The same call would end in the same way. The user or the operator has to fix the cause first."
	}
	switch outcome.Outcome {
	case client.OutcomeRevoked:
		return tools.NewError(tools.CodeUnavailable, "kenbun's answer was lost or not as asked, and with it the token's value; the token was revoked, nothing is left of it").
			Advise("%s", again).Because(err)
	case client.OutcomeNotCreated:
		return tools.NewError(tools.CodeUnavailable, "kenbun did not answer; no token was made").
			Advise("%s", again).Because(err)
	default:
		e := tools.NewError(tools.CodeOutcomeUnknown, "kenbun did not answer, and it cannot be found out whether a token was made").Because(err)
		look := fmt.Sprintf("Do not call again. Look with list_tokens for the name %s", plaintext.Quote(tools.Shown(outcome.Name, maxNameLength)))
		if len(outcome.TokenIDs) > 0 {
			look += " (id " + shownIDs(outcome.TokenIDs) + ")"
		}
		return e.Advise("%s; if it is there, nobody holds its value: have it revoked.", look)
	}
}

// shownIDs lists ids that the API made, as many as an audit entry has.
func shownIDs(ids []string) string {
	var list []string
	for _, id := range ids[:min(len(ids), audit.MaxCandidates)] {
		list = append(list, tools.Shown(id, 64))
	}
	if left := len(ids) - len(list); left > 0 {
		list = append(list, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(list, ", ")
}

// takeBack revokes a token that this call made. That it is gone is as good.
func (c *call) takeBack(ctx context.Context, api *client.Caller, created *client.CreatedToken, because audit.Reason) error {
	c.Trail.Next(audit.ActionRevoke, created.ID)
	c.Trail.Step.Because = because
	err := api.RevokeToken(ctx, created.ID)
	c.revoked(err)
	if errors.Is(err, client.ErrNotFound) {
		return nil
	}
	return err
}

// undelivered revokes a token whose value reached nobody.
func (c *call) undelivered(ctx context.Context, created *client.CreatedToken, cause error, journal journaled) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if err := c.takeBack(ctx, c.Caller.API, created, audit.ReasonUndelivered); err != nil {
		c.Log.Error("a token was neither delivered nor revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", err)
		return tools.NewError(tools.CodeOutcomeUnknown, "the token %s (%s) was made, its value could not be delivered (%s), and it is not certain that it is revoked: it may be alive, and nobody holds it",
			created.ID, publicPrefix(&created.Token), cause).
			Advise("Have it revoked: `kenbun-mcp tokens revoke %s%s`.", created.ID, c.TerminalFlags()).Because(errors.Join(cause, err))
	}
	journal.done()
	c.Log.Warn("a token could not be delivered and was revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", cause)
	return cannotDeliver(cause, "the token that was made was revoked at once, nothing is left of it")
}

// about records which token is to be changed.
func (c *call) about(token *client.Token) {
	c.Trail.Step.Target, c.Trail.Step.Name, c.Trail.Step.Left = token.ID, token.Name, audit.LeftLive
}

// notCreated notes what is left of a token whose creation failed.
func (c *call) notCreated(err error) {
	step := &c.Trail.Step
	var lost *client.CreateError
	switch {
	case !errors.As(err, &lost), lost.Outcome == client.OutcomeNotCreated:
		step.Left = audit.LeftNothing
	case lost.Outcome == client.OutcomeRevoked && len(lost.TokenIDs) == 1:
		step.Target, step.Left = lost.TokenIDs[0], audit.LeftRevoked
	default:
		step.Candidates = lost.TokenIDs
	}
}

// revoked writes how the revocation that is the open step ended.
func (c *call) revoked(err error) { c.Trail.Acted(tools.OutcomeOf(err), LeftAfter(err)) }

// delivered writes how a value reached the user, or where it waits for them.
func (c *call) delivered(receipt Receipt) {
	c.Trail.Step.Method = receipt.Method
	if receipt.Pending {
		c.Trail.Acted(audit.OutcomeDone, audit.LeftWaiting)
		return
	}
	c.Trail.Acted(audit.OutcomeDone, audit.LeftLive)
}

// maxUnknownID is the longest unverified id that is recorded, in characters. A token's
// value, which models put into the wrong place, is longer.
const maxUnknownID = 32

// unknownID is an id as it was given.
func unknownID(id string) string {
	if len(id) > maxUnknownID {
		return ""
	}
	return id
}

// closePage ends the question behind the page for a new token. err is why the user did not
// ask for it.
func (c *call) closePage(ctx context.Context, question approval.Opened, err error) {
	outcome := approval.Withdrawn // the call was cancelled, or no page could be shown
	switch e, ok := tools.AsError(err); {
	case err == nil:
		outcome = approval.Agreed
	case ok && e.Code == tools.CodeDeclined:
		outcome = approval.Declined
	case ok && e.Code == tools.CodeCannotDeliver:
		outcome = approval.Unanswered
	}
	c.approver.End(ctx, question, outcome)
}

// thrownAway counts a token that the user did not want as a no to further ones.
func (c *call) thrownAway(ctx context.Context, err error) {
	if e, ok := tools.AsError(err); !ok || e.Code != tools.CodeDeclined {
		return
	}
	if err := c.approver.NoteNo(ctx, c.Call, newTokenSubject); err != nil {
		c.Log.Warn("that the user threw a token away could not be noted", "cause", err)
	}
}
