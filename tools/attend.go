package tools

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
)

// Leaving is implemented by sessions whose client can go away for good.
type Leaving interface {
	// Gone returns a channel that is closed when the client has closed its end: it gets
	// no more questions and makes no more calls. Nil: that cannot be known.
	Gone() <-chan struct{}
}

type progressKey struct{}

// ReportProgress receives how long a call has taken, and a message about what it waits
// for.
type ReportProgress func(elapsed time.Duration, message string)

// WithProgress sets how progress of the call is reported to its client.
func WithProgress(ctx context.Context, report ReportProgress) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

type waitedKey struct{}

// WithWaited sets how long the client has already waited for an answer, other than by
// its own fault.
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
	// offered is set while the request waits for the user to give a token.
	offered atomic.Bool
	report  ReportProgress
	stopped chan struct{}
	ended   chan struct{}
}

// wait starts the wait. The caller calls stop when the request has an answer.
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

// callerOf finds out which user the call acts as. If there is no token, it asks the
// user for one where that is possible.
func (w *waiter) callerOf(ctx context.Context, tool *Tool, request mcp.CallToolRequest) (Caller, error) {
	// The token may come from a command that asks its user.
	asking, cancel := context.WithTimeout(ctx, w.left(w.patience.forUser()))
	defer cancel()
	caller, err := w.callers.Caller(asking)
	if err == nil || w.connector == nil || !errors.Is(err, ErrNotConnected) {
		return caller, err
	}
	if err := w.connect(ctx, tool, request, err); err != nil {
		return Caller{}, err
	}
	return w.callers.Caller(ctx)
}

// connect asks the user for a token, for as long as the request can wait.
func (w *waiter) connect(ctx context.Context, tool *Tool, request mcp.CallToolRequest, cause error) error {
	w.offered.Store(true)
	defer w.offered.Store(false)
	ctx, cancel := context.WithTimeout(ctx, w.left(w.patience.forUser()))
	defer cancel()
	go func() {
		select {
		case <-w.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return w.connector.Connect(ctx, tool.Name, request, cause)
}

// left is how much of limit is left.
func (w *waiter) left(limit time.Duration) time.Duration {
	return max(0, limit-time.Since(w.started))
}

// read makes a call that changes nothing. Nobody joins it, and it needs no work that
// goes on after the answer.
func (w *waiter) read(ctx context.Context, set *Toolset, c *Call) (*Result, error) {
	c.stretch = min(c.stretch, w.left(w.patience.inAll()))
	reading := w.works.enter(ctx)
	w.work.Store(reading)
	w.works.run(reading, func(work *work) (*Result, error) { return c.run(set, work) }) //nolint:contextcheck // that of the work
	return reading.result, reading.err
}

// attend waits until work ends, or until the request must be answered. In the latter
// case the work goes on, and the next request with key joins it.
func (w *waiter) attend(ctx context.Context, key workKey, work *work) (*Result, error) {
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
			if !w.works.leave(key, work, w.gone) {
				work.cancel(context.DeadlineExceeded)
				go w.works.unheard(work)
				return nil, NewError(CodeUnavailable, "kenbun has not answered yet, and the call was given up").
					Advise("Wait a little, then call again.%s", NoNewToken).Reasoned(reasonTimeout)
			}
			if still := work.waitsForUser(); still != nil {
				return nil, w.stillOpen(still)
			}
			return nil, NewError(CodeOutcomeUnknown, "kenbun has not answered yet; it is still being tried, and the outcome is not known").
				Advise("Call the tool again with the same arguments: that joins this call and gets its outcome. Do not say that it is done.")
		}
	}
}

// joinHint tells a model how to continue a call that waits for the user.
const joinHint = "Then call the tool again with the same arguments: that joins this call, waits with it and gets its outcome. Other arguments start a new question."

// stillOpen is the answer while the call still waits for the user.
func (b *Toolbox) stillOpen(open *OpenState) *Error {
	e := NewError(CodeNeedsPerson, "%s is open %s until %s (%s); %s so far", open.What, open.Where,
		Timestamp(&open.Until), humantime.Relative(open.Until, b.clock()), open.Unchanged).
		Advise("Tell the user to %s. %s", open.Then, joinHint)
	e.Open = &Open{Where: open.Where, Until: open.Until}
	return e
}

// Open is what the user still has to do, in the _meta of an answer.
type Open struct {
	Where string    `json:"where"`
	Until time.Time `json:"until"`
}

// keyOf identifies a call of caller, including the recipient of its result.
func keyOf(ctx context.Context, caller Caller, set *Toolset, tool *Tool, args Arguments) workKey {
	to := ""
	if set.Recipient != nil {
		to = set.Recipient(ctx)
	}
	return workKey{caller.ID, Digest(MustMarshal([]string{tool.Name, string(MustMarshal(args)), to}))}
}

// join returns the work of an earlier identical call that was answered before it was
// done, or nil. A caller can join it only if kenbun accepts their token now.
func (w *waiter) join(ctx context.Context, key workKey, caller Caller) (*work, error) {
	if !w.works.has(key) {
		return nil, nil
	}
	asking, cancel := context.WithTimeout(ctx, w.left(w.patience.forRecovery()))
	defer cancel()
	if err := CheckToken(asking, caller.API); err != nil {
		return nil, Upstream(err, "check the token")
	}
	return w.works.join(ctx, key), nil
}

// keptOutcome marks an outcome as an old one. Things may have changed since.
func (b *Toolbox) keptOutcome(outcome *Result, err error, ended time.Time) (*Result, error) {
	since := fmt.Sprintf("the outcome of the same call made before, which ended %s; nothing was done again", humantime.Relative(ended, b.clock()))
	if e, ok := AsError(err); ok {
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
	kept.Text = "This is " + since + ". To do it again, call again.\n" + outcome.Text
	return &kept, nil
}

// WithdrawnError says why a wait for the user ended early.
type WithdrawnError struct{ cause error }

func (e *WithdrawnError) Error() string { return "withdrawn: " + e.cause.Error() }

func (e *WithdrawnError) Unwrap() error { return e.cause }

// Answer returns the error for the client: what was withdrawn before the user had done
// it.
func (e *WithdrawnError) Answer(done, what, unchanged string) *Error {
	code := CodeUnavailable
	if errors.Is(e.cause, errClientGone) {
		code = CodeNeedsPerson
	}
	return NewError(code, "%s before the user had %s, and %s was withdrawn; %s", e.cause, done, what, unchanged).
		Advise("Call again when it is wanted.").Because(e)
}
