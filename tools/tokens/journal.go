package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// Journal records which tokens are on their way to a user, so that a crash leaves no live
// token that nobody holds.
type Journal interface {
	// Begin is called before a token is created. What it records survives a crash. On an
	// error nothing is created. The error may be shown to a model.
	Begin(ctx context.Context, caller tools.Caller, intent Intent) (JournalEntry, error)
	// Recover settles what dead processes left behind for this caller: it revokes tokens
	// that nobody holds, and keeps what it cannot settle. After an error it can be called
	// again.
	Recover(ctx context.Context, caller tools.Caller) ([]Recovered, error)
}

// Intent is a token that is about to be made.
type Intent struct {
	Name string
	// ExpiresAt is nil for a token that never expires.
	ExpiresAt *time.Time
	BeganAt   time.Time
}

// JournalEntry is one token on its way. An entry that is never done is settled after the
// process has died.
type JournalEntry interface {
	// Made notes the id of the token.
	Made(id string) error
	// MayHaveMade records ids of which one may be the token, if the API's answer was lost.
	// There may be none.
	MayHaveMade(ids []string) error
	// Done removes the entry: a user holds the token, it was revoked, or it was never
	// created.
	Done() error
}

type journalEntryKey struct{}

// JournalEntryFrom returns the entry of the token that a [Deliverer] delivers under ctx. A
// method with later pick-up marks its receipt as pending and calls Done itself, after the
// pick-up or the revocation. Without a journal the entry does nothing.
func JournalEntryFrom(ctx context.Context) JournalEntry {
	if entry, ok := ctx.Value(journalEntryKey{}).(JournalEntry); ok {
		return entry
	}
	return noEntry{}
}

type noEntry struct{}

func (noEntry) Made(string) error          { return nil }
func (noEntry) MayHaveMade([]string) error { return nil }
func (noEntry) Done() error                { return nil }

// RecoveryOutcome is what became of a token that a process left behind.
type RecoveryOutcome string

// The outcomes.
const (
	// RecoveredRevoked: nobody held it, and it was revoked.
	RecoveredRevoked RecoveryOutcome = "revoked"
	// RecoveredGone: it was revoked or had expired already.
	RecoveredGone RecoveryOutcome = "gone"
	// RecoveredInUse: it was used since, so somebody holds it; it was left alone.
	RecoveredInUse RecoveryOutcome = "in_use"
	// RecoveredNotMade: no such token was made.
	RecoveredNotMade RecoveryOutcome = "not_made"
	// RecoveredUnclear: which token it is, or whether there is one, is not known; nothing
	// was done, and the user should look.
	RecoveredUnclear RecoveryOutcome = "unclear"
	// RecoveredUnverified: the API shows such a token, but the entry was not written with
	// the caller's token, was altered, or is too old. Nothing was done, and the user should
	// look.
	RecoveredUnverified RecoveryOutcome = "unverified"
)

// Recovered is a token that a process left behind.
type Recovered struct {
	// TokenID is empty where it is not known.
	TokenID string
	// Name is as it was given, and has to be cleaned before it is shown.
	Name    string
	Outcome RecoveryOutcome
}

// begin notes that a token is about to be made.
func (c *call) begin(ctx context.Context, want client.NewToken) (journaled, error) {
	if c.journal == nil {
		return journaled{c: c, entry: noEntry{}}, nil
	}
	entry, err := c.journal.Begin(ctx, c.Caller, Intent{Name: want.Name, ExpiresAt: want.ExpiresAt, BeganAt: c.Clock()})
	if err != nil {
		return journaled{}, cannotDeliver(err, "no token was made")
	}
	return journaled{c: c, entry: entry}, nil
}

// journaled records what becomes of a token. A failure is only logged: the token exists, and
// delivering it matters more.
type journaled struct {
	c     *call
	entry JournalEntry
}

func (j journaled) made(id string) { j.log(j.entry.Made(id)) }

func (j journaled) done() { j.log(j.entry.Done()) }

// delivered removes the entry, unless the user still has to pick up the value.
func (j journaled) delivered(receipt Receipt) {
	if !receipt.Pending {
		j.done()
	}
}

// failed notes how a creation failed.
func (j journaled) failed(err error) {
	var lost *client.CreateError
	if errors.As(err, &lost) && lost.Outcome == client.OutcomeUnknown {
		j.log(j.entry.MayHaveMade(lost.TokenIDs))
		return
	}
	j.done()
}

// within returns a context for [JournalEntryFrom].
func (j journaled) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, journalEntryKey{}, j.entry)
}

func (j journaled) log(err error) {
	if err != nil {
		j.c.Log.Error("the journal of tokens on their way could not be written", "cause", err)
	}
}

// errNotSettled means that an earlier process's tokens are still being looked for.
var errNotSettled = errors.New("what an earlier process left behind is not dealt with yet")

const (
	// maxRecoveries bounds how many settled callers are remembered. A forgotten one is
	// looked up again, which changes nothing.
	maxRecoveries = 4096
	// recoveryTimeout bounds how long one recovery takes.
	recoveryTimeout = 30 * time.Second
	// recoveryRetry is how long after a failure it is tried again.
	recoveryRetry = time.Minute
)

// recoveries settles what earlier processes left behind, once per caller, and keeps the
// findings until they are shown.
type recoveries struct {
	journal Journal
	clock   func() time.Time

	mu    sync.Mutex
	known map[string]*recovery
}

type recovery struct {
	// ended is closed when the looking has come to an end.
	ended chan struct{}

	// The rest is written before ended is closed, and after that under the mutex of
	// recoveries.
	retryAt  time.Time // zero: nothing is to be tried again
	findings []string
}

func newRecoveries(journal Journal, clock func() time.Time) *recoveries {
	return &recoveries{journal: journal, clock: clock, known: map[string]*recovery{}}
}

// settling is a call that needs a recovery.
type settling struct {
	caller tools.Caller
	log    *slog.Logger
	// wait is how long the call waits for it.
	wait time.Duration
	// start runs it beside the calls.
	start func(func())
	// found takes what was left behind.
	found func(Recovered)
}

// settle settles what was left behind for the caller, once. Calls of the same caller wait
// for it, because a token that they create could be taken for one left behind. The error
// says that it takes longer.
func (r *recoveries) settle(ctx context.Context, call settling) error {
	if r.journal == nil {
		return nil
	}
	mine, wait := r.join(call.caller.ID)
	if mine != nil {
		wait = mine.ended
		call.start(func() { r.recover(ctx, mine, call) })
	}
	select {
	case <-wait:
		return nil // without a timer, as at all calls but the first
	default:
	}
	timer := time.NewTimer(call.wait)
	defer timer.Stop()
	select {
	case <-wait:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return tools.NewError(tools.CodeUnavailable, "an earlier process of this server left a token behind, and kenbun does not answer what became of it; nothing was done").
		Advise("Wait a little, then call again.%s", tools.NoNewToken).Because(errNotSettled).Reasoned(tools.ReasonUnsettled)
}

// recover looks for what was left behind of caller's.
func (r *recoveries) recover(ctx context.Context, mine *recovery, call settling) {
	defer close(mine.ended)
	// Half done would be worse than late: the caller may hang up.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoveryTimeout)
	defer cancel()
	left, err := r.journal.Recover(limited, call.caller)
	if err != nil {
		call.log.Warn("what an earlier process left behind could not be dealt with; it is tried again", "cause", err)
		mine.retryAt = r.clock().Add(recoveryRetry)
	}
	for _, f := range left {
		call.found(f)
		call.log.Warn("an earlier process ended before a token reached its user",
			"id", f.TokenID, "name", tools.Shown(f.Name, maxNameLength), "outcome", f.Outcome)
		mine.findings = append(mine.findings, f.text())
	}
}

// join returns the recovery that the caller has to run, or nil and what to wait for.
func (r *recoveries) join(callerID string) (mine *recovery, wait <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var findings []string
	if present, ok := r.known[callerID]; ok {
		select {
		case <-present.ended:
		default:
			return nil, present.ended
		}
		if present.retryAt.IsZero() || r.clock().Before(present.retryAt) {
			return nil, present.ended
		}
		findings = present.findings
	}
	if len(r.known) >= maxRecoveries {
		r.forget()
	}
	mine = &recovery{ended: make(chan struct{}), findings: findings}
	r.known[callerID] = mine
	return mine, nil
}

// forget makes room. What is under way, or not shown yet, stays.
func (r *recoveries) forget() {
	for id, present := range r.known {
		select {
		case <-present.ended:
			if len(present.findings) == 0 {
				delete(r.known, id)
			}
		default:
		}
	}
}

// take returns the findings for the caller, once.
func (r *recoveries) take(callerID string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	present, ok := r.known[callerID]
	if !ok {
		return nil
	}
	select {
	case <-present.ended:
	default:
		return nil
	}
	findings := present.findings
	present.findings = nil
	if left := len(findings) - maxFindings; left > 0 {
		findings = append(findings[:maxFindings:maxFindings], fmt.Sprintf("There were %d more tokens like these; the server's log names them.", left))
	}
	return findings
}

// maxFindings is how many findings are shown one by one.
const maxFindings = 10

// text says what was left behind and what became of it.
func (f Recovered) text() string {
	if f.Outcome == RecoveredUnverified {
		return fmt.Sprintf("The journal of this server has an entry for the token %q (id %s), which was never used. The entry cannot be verified with "+
			"the token in use now: it was written with another token or by an older version, was altered, or is more than a week old. Nothing was done. "+
			"If nobody holds that token, have it revoked.", tools.Shown(f.Name, maxNameLength), tools.Shown(f.TokenID, 64))
	}
	what := fmt.Sprintf("An earlier process of this server ended before the new token %s", plaintext.Quote(tools.Shown(f.Name, maxNameLength)))
	if f.TokenID != "" {
		what += fmt.Sprintf(" (id %s)", tools.Shown(f.TokenID, 64))
	}
	what += " had reached its user"
	switch f.Outcome {
	case RecoveredRevoked:
		return what + "; it was revoked now, and what may have been delivered of it does not work."
	case RecoveredGone:
		return what + "; it is revoked or has expired, nothing is left of it."
	case RecoveredInUse:
		return what + "; it has been used since, so that somebody holds it, and it was left alone. If nobody should, have it revoked."
	case RecoveredNotMade:
		return what + "; it was not made, nothing is left of it."
	default:
		return what + "; whether it lives cannot be told for sure. Look with list_tokens for one of that name that was never used, and have it revoked if nobody holds it."
	}
}

// record writes what became of a token that an earlier process left behind.
func (f Recovered) record(c *tools.Call) {
	entry := audit.Entry{Kind: audit.Token, Action: audit.ActionRevoke, Target: f.TokenID, Name: f.Name, Because: audit.ReasonLeftBehind, Outcome: audit.OutcomeUnchanged}
	switch f.Outcome {
	case RecoveredRevoked:
		entry.Outcome, entry.Left = audit.OutcomeDone, audit.LeftRevoked
	case RecoveredGone:
		entry.Left = audit.LeftRevoked
	case RecoveredInUse:
		entry.Left = audit.LeftLive
	case RecoveredNotMade:
		entry.Left = audit.LeftNothing
	default:
		entry.Outcome, entry.Left = audit.Outcome(tools.CodeOutcomeUnknown), audit.LeftUnknown
	}
	c.Record(entry)
}
