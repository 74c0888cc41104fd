package tools

import (
	"errors"

	"github.com/kenbun/kenbun-mcp/client"
)

// trail is what a call leaves in the audit log: an entry for each step, the last
// of which may not have been done.
type trail struct {
	// open tells that the step is not written yet.
	open bool
	step AuditEntry

	verdict Verdict
	way     Way
}

// attempt begins the trail, once the arguments are found to mean something: from
// here on the call leaves an entry, whatever becomes of it. It fails while
// entries cannot be written.
func (c *call) attempt(step AuditEntry) error {
	if err := c.auditable(); err != nil {
		return err
	}
	c.trail.step, c.trail.open = step, true
	return nil
}

// auditable reports an error while the operator could not read later what is
// done now.
func (c *call) auditable() error {
	if c.auditor == nil {
		return nil
	}
	if err := c.auditor.Ready(); err != nil {
		c.trail.open = false
		c.logger.Warn("a change was refused, since the audit log cannot be written", "cause", err)
		return newError(CodeUnavailable, "the operator's audit log cannot be written, and without it nothing is changed").
			next("Tell the person that the operator of this server has to mend this. What only reads works as before.").because(err).reasoned(reasonAuditLog)
	}
	return nil
}

// nextStep opens the step that follows. What is left is not known until it was done.
func (c *call) nextStep(action AuditAction, target string) {
	before := c.trail.step
	c.trail.step = AuditEntry{Action: action, Target: target, Name: before.Name, Replaces: before.Replaces, Left: LeftUnknown}
	c.trail.open = true
}

// acted writes the open step.
func (c *call) acted(outcome AuditOutcome, left Left) {
	if !c.trail.open {
		return
	}
	c.trail.open = false
	step := c.trail.step
	step.Tool, step.Outcome, step.Left = c.tool.Name, outcome, left
	step.Decision, step.AskedBy = c.trail.verdict, c.trail.way
	c.record(c.requestID, c.caller, step)
}

// conclude writes the step at which the call came to its end. A question on its
// way to the person is no end.
func (c *call) conclude(err error) {
	var asking *inputRequired
	switch {
	case errors.As(err, &asking):
	case err == nil:
		c.acted(OutcomeDone, c.trail.step.Left)
	default:
		c.acted(AuditOutcomeOf(err), c.trail.step.Left)
	}
}

// decided notes what came of asking the person.
func (c *call) decided(verdict Verdict, way Way) { c.trail.verdict, c.trail.way = verdict, way }

// inDoubt tells that from now on the API may have done the open step.
func (c *call) inDoubt() { c.trail.step.Left = LeftUnknown }

// about tells which live or dead token of the caller's is to be revoked.
func (c *call) about(token *client.Token) {
	c.trail.step.Target, c.trail.step.Name, c.trail.step.Left = token.ID, token.Name, LeftLive
}

// notCreated notes what is left of a token whose creation failed.
func (c *call) notCreated(err error) {
	step := &c.trail.step
	var lost *client.CreateError
	switch {
	case !errors.As(err, &lost), lost.Outcome == client.OutcomeNotCreated:
		step.Left = LeftNothing
	case lost.Outcome == client.OutcomeRevoked && len(lost.TokenIDs) == 1:
		step.Target, step.Left = lost.TokenIDs[0], LeftRevoked
	default:
		step.Candidates = lost.TokenIDs
	}
}

// revoked writes how the revocation that is the open step ended.
func (c *call) revoked(err error) { c.acted(AuditOutcomeOf(err), LeftAfter(err)) }

// delivered writes how a value reached the person, or where it waits for them.
func (c *call) delivered(receipt Receipt) {
	c.trail.step.Road = receipt.Road
	if receipt.Pending {
		c.acted(OutcomeDone, LeftWaiting)
		return
	}
	c.acted(OutcomeDone, LeftLive)
}

// maxUnknownID is the longest id of a token nobody has seen that is written, in
// characters: the value of a token, which models put into the wrong place, is
// longer.
const maxUnknownID = 32

// unknownID is an id as it was given.
func unknownID(id string) string {
	if len(id) > maxUnknownID {
		return ""
	}
	return id
}

// record writes an entry about what happened for caller.
func (b *Toolbox) record(requestID string, caller Caller, entry AuditEntry) {
	if b.auditor == nil {
		return
	}
	entry.Time, entry.RequestID = b.clock(), requestID
	entry.Caller, entry.TokenPrefix = caller.ID, caller.TokenPrefix
	b.auditor.Record(entry)
}

// recordRecovery writes what became of a token that an earlier process left
// behind.
func (b *Toolbox) recordRecovery(requestID string, caller Caller, found Recovered) {
	entry := AuditEntry{Action: ActionRevoke, Target: found.TokenID, Name: found.Name, Because: ReasonLeftBehind, Outcome: OutcomeUnchanged}
	switch found.Outcome {
	case RecoveredRevoked:
		entry.Outcome, entry.Left = OutcomeDone, LeftRevoked
	case RecoveredGone:
		entry.Left = LeftRevoked
	case RecoveredInUse:
		entry.Left = LeftLive
	case RecoveredNotMade:
		entry.Left = LeftNothing
	default:
		entry.Outcome, entry.Left = AuditOutcome(CodeOutcomeUnknown), LeftUnknown
	}
	b.record(requestID, caller, entry)
}
