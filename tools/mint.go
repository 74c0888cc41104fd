package tools

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// revokeTimeout bounds how long a token that reached nobody is tried to be
// revoked, also when the call itself was cancelled meanwhile.
const revokeTimeout = 15 * time.Second

// mint makes a token and sees it through to its end: handOver brings its value
// to where it belongs, and a token that did not get there is revoked. Nobody is
// left with a token that nobody holds, even if nobody waits for the call any
// more.
func (c *call) mint(
	ctx context.Context, want client.NewToken,
	handOver handOver,
) (*client.CreatedToken, Receipt, error) {
	journal, err := c.begin(ctx, want)
	if err != nil {
		return nil, Receipt{}, err
	}
	c.inDoubt()
	created, err := c.caller.API.CreateToken(ctx, want)
	if err != nil {
		c.notCreated(err)
		journal.failed(err)
		return nil, Receipt{}, creationFailed(err)
	}
	journal.made(created.ID)
	c.trail.step.Target = created.ID
	c.acted(OutcomeDone, LeftLive)
	c.logger.Info("token created", "id", created.ID, "prefix", publicPrefix(&created.Token))
	defer c.unclaimed.add(created.ID)()
	ctx = journal.within(context.WithoutCancel(ctx))
	c.nextStep(ActionDeliver, created.ID)
	var receipt Receipt
	if err = c.wanted(); err == nil {
		receipt, err = c.handOver(ctx, created, handOver)
	}
	// A value that was overwritten does not come back: the new one stays in its place.
	if err == nil && !receipt.Held && receipt.Road != roadInPlace && !c.overwrites() {
		err = c.wanted()
	}
	if err != nil {
		c.acted(AuditOutcome(cannotDeliver(err, "").Code), LeftLive)
		return nil, Receipt{}, c.undelivered(ctx, created, err, journal)
	}
	c.delivered(receipt)
	journal.delivered(receipt)
	if receipt.onlyInAnswer() {
		c.undo = func() { c.unheard(created) } //nolint:contextcheck // it comes after the call
	}
	return created, receipt, nil
}

// wanted reports an error once nobody wants the token any more.
func (c *call) wanted() error {
	if cause := c.work.over(); cause != nil {
		return fmt.Errorf("nobody wants the token any more: %w", cause)
	}
	return nil
}

// unheard revokes a token that only an answer leads to which nobody gets.
func (c *call) unheard(created *client.CreatedToken) {
	defer func() {
		if r := recover(); r != nil {
			c.logger.Error("taking a token back panicked", "id", created.ID, "cause", fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.work.ctx), revokeTimeout)
	defer cancel()
	err := c.takeBack(ctx, c.caller.API, created, ReasonUndelivered)
	if err != nil {
		c.logger.Error("the answer with a new token reached nobody, and it is not certain that the token is revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", err)
		return
	}
	c.logger.Warn("the answer with a new token reached nobody; the token was revoked", "id", created.ID, "prefix", publicPrefix(&created.Token))
}

// receive waits until the user is there to take the token want, where the delivery
// method needs that. It returns a context for what follows.
func (c *call) receive(ctx context.Context, want client.NewToken) (context.Context, error) {
	receiver, ok := c.deliverer.(Receiver)
	if !ok {
		return ctx, nil
	}
	limit := receiver.Waits()
	if limit <= 0 {
		return ctx, nil
	}
	question, err := c.openPage(ctx, want, limit)
	if err != nil {
		return nil, err
	}
	pickup, err := receiver.Expect(ctx, want)
	if err != nil {
		c.closePage(ctx, question, err)
		return nil, cannotDeliver(err, "no token was made")
	}
	err = c.work.waitForUser(ctx, openState{
		What: "the page for the new token", Where: "in the user's browser", Then: "ask for the token there",
		Until: pickup.Until(), Unchanged: "no token was made",
	}, pickup.Asked)
	c.closePage(ctx, question, err)
	var withdrawn *withdrawnError
	switch {
	case errors.As(err, &withdrawn):
		pickup.Close()
		return nil, withdrawn.answer("asked for the token", "the page", "no token was made")
	case err != nil:
		return nil, cannotDeliver(err, "no token was made")
	}
	c.pickup = pickup
	// The user may have taken minutes.
	if err := c.auditable(); err != nil {
		pickup.Close()
		return nil, err
	}
	return c.stretch(), nil
}

// closePickup tells the user that there is no token, unless there was one.
func (c *call) closePickup() {
	if c.pickup != nil {
		c.pickup.Close()
	}
}

// handOver brings the value of a new token to where it belongs.
type handOver func(context.Context, *client.CreatedToken) (Receipt, error)

// handOver keeps a road that breaks down from leaving the new token behind.
func (c *call) handOver(ctx context.Context, created *client.CreatedToken, bring handOver) (receipt Receipt, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.logger.Error("the road of delivery panicked", "cause", fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
			err = errors.New("something went wrong on the way to the person")
		}
	}()
	return bring(ctx, created)
}

// deliver takes the operator's road.
func (c *call) deliver(ctx context.Context, created *client.CreatedToken) (Receipt, error) {
	c.trail.step.Road = c.deliverer.Road()
	if err := c.wanted(); err != nil {
		return Receipt{}, err // something may be overwritten from here on
	}
	if c.pickup != nil {
		return c.pickup.Deliver(ctx, c.caller, created)
	}
	if road, ok := c.deliverer.(Overwriting); ok && c.current != nil {
		return road.Overwrite(ctx, c.caller, created, *c.current)
	}
	return c.deliverer.Deliver(ctx, c.caller, created)
}

// lookAtCurrent notes what a new token would take the place of.
func (c *call) lookAtCurrent(ctx context.Context) error {
	road, ok := c.deliverer.(Overwriting)
	if !ok {
		return nil
	}
	current, err := road.Current(ctx)
	if err != nil {
		return err
	}
	c.current = &current
	return nil
}

// overwrites reports whether a value is lost when the new token is delivered.
func (c *call) overwrites() bool { return c.current != nil && c.current.What != "" }

// withCurrent has the user decide about the value that is lost, too.
func (c *call) withCurrent(d decision) decision {
	if c.overwrites() {
		d.question.Facts = append(d.question.Facts, Fact{Label: "It takes the place of", Value: c.current.What})
		d.fingerprint = digest([]byte(d.fingerprint + " " + c.current.Digest))
	}
	return d
}

// checkCurrent fails where the value that is lost is not the one that the user was
// asked about.
func (c *call) checkCurrent(ctx context.Context) error {
	road, ok := c.deliverer.(Overwriting)
	if !ok || c.current == nil {
		return nil
	}
	now, err := road.Current(ctx)
	if err != nil {
		return cannotDeliver(err, "no token was made")
	}
	if now != *c.current {
		return newError(CodeDeclined, "%s; no token was made", ErrCurrentChanged).
			next("Call the tool again; the user is asked anew where a value would be lost.")
	}
	return nil
}

// cannotDeliver tells why no value can reach the person, and what is left.
func cannotDeliver(err error, left string) *Error {
	if e, ok := asError(err); ok {
		return newError(e.Code, "%s; %s", e.Message, left).next("%s", e.Next).because(err)
	}
	return newError(CodeCannotDeliver, "%s; %s", err, left).
		next("The person or the operator has to mend this; then call again.").because(err)
}

// creationFailed tells what is left of a token whose creation did not succeed
// plainly.
func creationFailed(err error) error {
	var outcome *client.CreateError
	if !errors.As(err, &outcome) {
		// A plain refusal, or the request never left.
		e := upstream(err, "create the token")
		e.Message += "; no token was made"
		if e.Code == CodeInvalidArgument {
			e.Next = "Check the name (1 to 100 characters), the expiry (in the future) and, if there are any, the permissions (whoami shows those there are)."
		}
		return e
	}
	var api *client.Error
	differs := errors.As(err, &api) && api.Cause == client.CauseMismatch
	if differs && outcome.Outcome == client.OutcomeRevoked {
		return newError(CodeUnavailable, "kenbun made another token than it was asked for: %s; the token was revoked, nothing is left of it", api.Reason).
			next("The same call would end in the same way. Call again only with what kenbun makes of it, such as the expiry that it gave the token, if the user wants that.").because(err)
	}
	again := "It is safe to call again."
	if api != nil && !api.MayPass() {
		again = "The same call would end in the same way. The person or the operator has to mend the cause first."
	}
	switch outcome.Outcome {
	case client.OutcomeRevoked:
		return newError(CodeUnavailable, "kenbun's answer was lost or not as asked, and with it the token's value; the token was revoked, nothing is left of it").
			next("%s", again).because(err)
	case client.OutcomeNotCreated:
		return newError(CodeUnavailable, "kenbun did not answer; no token was made").
			next("%s", again).because(err)
	default:
		e := newError(CodeOutcomeUnknown, "kenbun did not answer, and it cannot be found out whether a token was made").because(err)
		look := fmt.Sprintf("Do not call again. Look with list_tokens for the name %s", plaintext.Quote(shown(outcome.Name, maxNameLength)))
		if len(outcome.TokenIDs) > 0 {
			look += " (id " + shownIDs(outcome.TokenIDs) + ")"
		}
		return e.next("%s; if it is there, nobody holds its value: have it revoked.", look)
	}
}

// shownIDs lists ids that the API made, as many as an audit entry has.
func shownIDs(ids []string) string {
	var list []string
	for _, id := range ids[:min(len(ids), maxAuditCandidates)] {
		list = append(list, shown(id, maxAuditWord))
	}
	if left := len(ids) - len(list); left > 0 {
		list = append(list, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(list, ", ")
}

// takeBack revokes a token that this call made. That it is gone is as good.
func (c *call) takeBack(ctx context.Context, api API, created *client.CreatedToken, because AuditReason) error {
	c.nextStep(ActionRevoke, created.ID)
	c.trail.step.Because = because
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
	if err := c.takeBack(ctx, c.caller.API, created, ReasonUndelivered); err != nil {
		c.logger.Error("a token was neither delivered nor revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", err)
		return newError(CodeOutcomeUnknown, "the token %s (%s) was made, its value could not be delivered (%s), and it is not certain that it is revoked: it may be alive, and nobody holds it",
			created.ID, publicPrefix(&created.Token), cause).
			next("Have it revoked: `kenbun-mcp tokens revoke %s%s`.", created.ID, c.terminalFlags).because(errors.Join(cause, err))
	}
	journal.done()
	c.logger.Warn("a token could not be delivered and was revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", cause)
	return cannotDeliver(cause, "the token that was made was revoked at once, nothing is left of it")
}
