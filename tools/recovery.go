package tools

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

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
	// wait is how long a call waits for a recovery.
	wait time.Duration
	// start runs a recovery beside the calls.
	start func(func())

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
	return &recoveries{
		journal: journal, clock: clock, known: map[string]*recovery{},
		wait: patience(DefaultPatience).forRecovery(), start: func(do func()) { go do() },
	}
}

// settle has what was left behind of the caller's dealt with, once, and tells found
// about it. Calls of the same caller wait for it: a token that they make could be
// taken for one that was left behind. The error says that it takes longer.
func (r *recoveries) settle(ctx context.Context, caller Caller, logger *slog.Logger, found func(Recovered)) error {
	if r.journal == nil {
		return nil
	}
	mine, wait := r.join(caller.ID)
	if mine != nil {
		wait = mine.ended
		r.start(func() { r.recover(ctx, mine, caller, logger, found) })
	}
	timer := time.NewTimer(r.wait)
	defer timer.Stop()
	select {
	case <-wait:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return newError(CodeUnavailable, "an earlier process of this server left a token behind, and kenbun does not answer what became of it; nothing was done").
		next("Wait a little, then call again.%s", noNewToken).because(errNotSettled).reasoned(reasonUnsettled)
}

// recover looks for what was left behind of caller's.
func (r *recoveries) recover(ctx context.Context, mine *recovery, caller Caller, logger *slog.Logger, found func(Recovered)) {
	defer close(mine.ended)
	// Half done would be worse than late: the caller may hang up.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoveryTimeout)
	defer cancel()
	left, err := r.journal.Recover(limited, caller)
	if err != nil {
		logger.Warn("what an earlier process left behind could not be dealt with; it is tried again", "cause", err)
		mine.retryAt = r.clock().Add(recoveryRetry)
	}
	for _, f := range left {
		found(f)
		logger.Warn("an earlier process ended before a token reached its person",
			"id", f.TokenID, "name", shown(f.Name, maxNameLength), "outcome", f.Outcome)
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
			"If nobody holds that token, have it revoked.", shown(f.Name, maxNameLength), shown(f.TokenID, 64))
	}
	what := fmt.Sprintf("An earlier process of this server ended before the new token %s", plaintext.Quote(shown(f.Name, maxNameLength)))
	if f.TokenID != "" {
		what += fmt.Sprintf(" (id %s)", shown(f.TokenID, 64))
	}
	what += " had reached its person"
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
