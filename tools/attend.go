package tools

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
)

// Leaving is implemented by the session of a client that can go away for good.
type Leaving interface {
	// Gone returns a channel that is closed when the client closed its end: it hears
	// no question any more and makes no further call. Nil: such a client has no end.
	Gone() <-chan struct{}
}

type progressKey struct{}

// ReportProgress takes how long a call takes so far, and in words what it waits for.
type ReportProgress func(elapsed time.Duration, message string)

// WithProgress says how the client that made the call is told about its progress.
// Without, it is not.
func WithProgress(ctx context.Context, report ReportProgress) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

type waitedKey struct{}

// WithWaited says how long the client has waited for an answer before the call
// begins, other than by its own fault.
func WithWaited(ctx context.Context, waited time.Duration) context.Context {
	return context.WithValue(ctx, waitedKey{}, waited)
}

// waiter is one request of a client while it waits for an answer.
type waiter struct {
	*Toolbox
	started time.Time
	gone    <-chan struct{}
	// work is what the request waits for, once there is some.
	work atomic.Pointer[work]
	// offered tells that the request waits for the user to give a token.
	offered atomic.Bool
	report  ReportProgress
	stopped chan struct{}
	ended   chan struct{}
}

// wait begins to wait. The request has an answer when stop is called.
func (b *Toolbox) wait(ctx context.Context) (w *waiter, stop func()) {
	waited, _ := ctx.Value(waitedKey{}).(time.Duration)
	w = &waiter{Toolbox: b, started: time.Now().Add(-waited)}
	if leaving, ok := server.ClientSessionFromContext(ctx).(Leaving); ok {
		w.gone = leaving.Gone()
	}
	w.report, _ = ctx.Value(progressKey{}).(ReportProgress)
	if w.report == nil {
		return w, func() {}
	}
	w.stopped, w.ended = make(chan struct{}), make(chan struct{})
	go w.showProgress()
	return w, func() {
		close(w.stopped)
		<-w.ended // so that nothing follows the answer
	}
}

func (w *waiter) showProgress() {
	defer close(w.ended)
	ticker := time.NewTicker(w.patience.betweenProgress())
	defer ticker.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case <-ticker.C:
			w.report(time.Since(w.started), w.waitsFor())
		}
	}
}

// waitsFor says in words what the request waits for.
func (w *waiter) waitsFor() string {
	if work := w.work.Load(); work != nil {
		if open := work.waitsForUser(); open != nil {
			return "Waiting for the user: " + open.What + " is open " + open.Where + "."
		}
	}
	if w.offered.Load() {
		return "Waiting for the user to give a kenbun token."
	}
	return "Waiting for kenbun."
}

// left is how much of limit is left.
func (w *waiter) left(limit time.Duration) time.Duration {
	return max(0, limit-time.Since(w.started))
}

// attend waits for work until it ends, or until the request has to be answered.
// Then the work goes on, and the next request with key joins it.
func (w *waiter) attend(ctx context.Context, tool *Tool, key workKey, work *work) (*result, error) {
	w.work.Store(work)
	open := time.NewTimer(w.left(w.patience.forUser()))
	defer open.Stop()
	last := time.NewTimer(w.left(w.patience.inAll()))
	defer last.Stop()
	gone := w.gone
	for {
		select {
		case <-work.done:
			if ctx.Err() != nil {
				w.works.unheard(work)
			}
			return work.result, work.err
		case <-ctx.Done():
			work.cancel(errCancelled)
			w.works.unheard(work)
			return work.result, work.err
		case <-gone:
			work.clientGone()
			gone = nil
		case <-open.C:
			if ctx.Err() != nil {
				continue // nobody is left to join the work
			}
			if still := work.waitsForUser(); still != nil && w.works.leave(key, work, w.gone) {
				return nil, w.stillOpen(still)
			}
		case <-last.C:
			if ctx.Err() != nil {
				continue
			}
			if tool.Effect == Reads || !w.works.leave(key, work, w.gone) {
				work.cancel(context.DeadlineExceeded)
				go w.works.unheard(work)
				return nil, newError(CodeUnavailable, "kenbun has not answered yet, and the call was given up").
					next("Wait a little, then call again.%s", noNewToken).reasoned(reasonTimeout)
			}
			if still := work.waitsForUser(); still != nil {
				return nil, w.stillOpen(still)
			}
			return nil, newError(CodeOutcomeUnknown, "kenbun has not answered yet; it is still being tried, and the outcome is not known").
				next("Call the tool again with the same arguments: that joins this call and gets its outcome. Do not say that it is done.")
		}
	}
}

// joinHint is what a client does about a call that waits for the user.
const joinHint = "Then call the tool again with the same arguments: that joins this call, waits with it and gets its outcome. Other arguments ask anew."

// stillOpen is the answer while the user has not done yet what the call waits for.
func (b *Toolbox) stillOpen(open *openState) *Error {
	e := newError(CodeNeedsPerson, "%s is open %s until %s (%s); %s so far", open.What, open.Where,
		timestamp(&open.Until), humantime.Relative(open.Until, b.clock()), open.Unchanged).
		next("Tell the user to %s. %s", open.Then, joinHint)
	e.Open = &Open{Where: open.Where, Until: open.Until}
	return e
}

// Open is what the user still has to do, in the _meta of an answer.
type Open struct {
	Where string    `json:"where"`
	Until time.Time `json:"until"`
}

// keyOf names a call of caller. What a new token is delivered to is part of it.
func (b *Toolbox) keyOf(ctx context.Context, caller Caller, tool *Tool, args arguments) workKey {
	to := ""
	if road, ok := b.deliverer.(Addressing); ok {
		to = road.Addressee(ctx)
	}
	return workKey{caller.ID, digest(mustMarshal([]string{tool.Name, string(mustMarshal(args)), to}))}
}

// join returns the work of the same call that was answered before it was done, nil if
// there is none. Only a caller whose token kenbun accepts now joins it.
func (w *waiter) join(ctx context.Context, key workKey, caller Caller) (*work, error) {
	if !w.works.has(key) {
		return nil, nil
	}
	asking, cancel := context.WithTimeout(ctx, w.left(w.patience.forRecovery()))
	defer cancel()
	if err := CheckToken(asking, caller.API); err != nil {
		return nil, upstream(err, "check the token")
	}
	return w.works.join(ctx, key), nil
}

// keptOutcome marks the outcome of a work that had ended before a call came for it:
// the world may have changed since.
func (b *Toolbox) keptOutcome(outcome *result, err error, ended time.Time) (*result, error) {
	since := fmt.Sprintf("the outcome of the same call made before, which ended %s; nothing was done anew", humantime.Relative(ended, b.clock()))
	if e, ok := asError(err); ok {
		kept := *e
		kept.Message += " (this is " + since + ")"
		kept.RetryAfter = max(e.RetryAfter-time.Since(ended), 0)
		return nil, &kept
	}
	if err != nil {
		return nil, err
	}
	kept := *outcome
	kept.ended = ended
	kept.text = "This is " + since + ". To do it again, call again.\n" + outcome.text
	return &kept, nil
}

// withdrawnError is a wait for the user that ended before its time, and why.
type withdrawnError struct{ cause error }

func (e *withdrawnError) Error() string { return "withdrawn: " + e.cause.Error() }

func (e *withdrawnError) Unwrap() error { return e.cause }

// answer says that what was open to the user was taken back before they had done it.
func (e *withdrawnError) answer(done, what, unchanged string) *Error {
	code := CodeUnavailable
	if errors.Is(e.cause, errClientGone) {
		code = CodeNeedsPerson
	}
	return newError(code, "%s before the user had %s, and %s was withdrawn; %s", e.cause, done, what, unchanged).
		next("Call again when it is wanted.").because(e)
}
