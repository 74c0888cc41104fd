package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// errNotSettled means that an earlier process's tokens are still being looked for.
var errNotSettled = errors.New("what an earlier process left behind is not dealt with yet")

const (
	// maxRecoveries bounds for how many callers it is remembered that nothing is
	// left behind. For one that was forgotten it is looked again, which changes
	// nothing.
	maxRecoveries = 4096
	// recoveryTimeout bounds how long it takes to deal with what earlier processes
	// left behind.
	recoveryTimeout = 30 * time.Second
	// recoveryRetry is how long after a failure it is tried again.
	recoveryRetry = time.Minute
)

// recoveries deals with what earlier processes left behind, once for each
// caller, and keeps what there is to tell about it until it can be told.
type recoveries struct {
	journal Journal
	clock   func() time.Time

	mu    sync.Mutex
	known map[string]*recovery
}

type recovery struct {
	// ended is closed when the looking has come to an end.
	ended chan struct{}

	// What follows is written before ended is closed, and after that under the
	// mutex of recoveries.
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

// settle deals with what was left behind of the caller's, once. Calls of the same
// caller wait for it: a token that they make could be taken for one that was left
// behind. The error says that it takes longer.
func (r *recoveries) settle(ctx context.Context, call settling) error {
	if r.journal == nil {
		return nil
	}
	mine, wait := r.join(call.caller.ID)
	if mine != nil {
		wait = mine.ended
		call.start(func() { r.recover(ctx, mine, call) })
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
		call.log.Warn("an earlier process ended before a token reached its person",
			"id", f.TokenID, "name", tools.Shown(f.Name, maxNameLength), "outcome", f.Outcome)
		mine.findings = append(mine.findings, f.text())
	}
}

// join returns the recovery that the caller has to run, or nil and what to wait
// for.
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

// forget makes room. What is under way, or is still to be told, stays.
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

// take returns what there is to tell caller, once.
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

// maxFindings is how many findings are told one by one.
const maxFindings = 10

// text tells a person what was left behind and what became of it.
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
