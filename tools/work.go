package tools

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// DefaultPatience is how long a call waits for the user before it answers that the
// question is open. Many clients give up on a call after 60 seconds.
const DefaultPatience = 45 * time.Second

const (
	// outcomeKept is how long the outcome of an unfinished call is kept for the same call
	// to fetch it.
	outcomeKept = 5 * time.Minute
	// maxLeft bounds the calls that go on without a waiting client, together with the
	// outcomes that are kept.
	maxLeft = 1024
	// maxLeftOfCaller bounds the same for one caller.
	maxLeftOfCaller = 32
)

// patience has the time limits of a call. All derive from how long it waits for the user.
type patience time.Duration

// forUser is how long a call waits for the user: 45 seconds.
func (p patience) forUser() time.Duration { return time.Duration(p) }

// forAPI is how long a call works with the API at a stretch: 30 seconds. Finding out
// what became of an unanswered request takes ten seconds more.
func (p patience) forAPI() time.Duration { return time.Duration(p) * 2 / 3 }

// forRecovery is how long a call waits for work that precedes its own: 15 seconds.
func (p patience) forRecovery() time.Duration { return time.Duration(p) / 3 }

// inAll is when a call answers in any case: after 48 seconds.
func (p patience) inAll() time.Duration { return time.Duration(p) * 16 / 15 }

// betweenProgress is the interval of progress notifications: ten seconds.
func (p patience) betweenProgress() time.Duration { return time.Duration(p) * 2 / 9 }

// Why the work of a call ends early.
var (
	// errCancelled means that the client took the call back.
	errCancelled error = cancelled{}
	// errClientGone means that the client closed its end, so that it can neither ask
	// its user nor call again.
	errClientGone = errors.New("the client closed its end")
	// errStopping means that this server stops.
	errStopping = errors.New("the server stops")
)

// cancelled is a context.Canceled with words for the user.
type cancelled struct{}

func (cancelled) Error() string { return "the call was cancelled" }

func (cancelled) Unwrap() error { return context.Canceled }

// work is what a call does. It has a context of its own: it goes on when the call must
// be answered earlier, and the same call again joins it.
type work struct {
	// ctx ends when nobody wants the outcome any more.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// key is set when the work is left without a client. The lock of works guards it.
	key workKey
	// done is closed when the work has ended, at the time ended, with result and err.
	done   chan struct{}
	ended  time.Time
	result *Result
	err    error

	mu sync.Mutex
	// request is the context of the call that waits for the work. Nil: none does.
	request context.Context
	// open is what the user has to do. Nil: the work does not wait for the user.
	open *OpenState
	// withdraw ends the wait for the user.
	withdraw context.CancelCauseFunc
	// gone is set once the client cannot come back.
	gone bool
	// rejoined is closed when a call joins the work that was left.
	rejoined chan struct{}
}

// OpenState describes something that the user has to do before a call can go on.
type OpenState struct {
	// What is open, such as "the question to the user".
	What string
	// Where says where the user finds it.
	Where string
	// Then is what the user does there, after "Tell the user to".
	Then  string
	Until time.Time
	// Unchanged says what has not happened so far.
	Unchanged string
}

// works are the calls of a toolbox that are under way, and the outcomes that nobody has
// fetched yet.
type works struct {
	mu   sync.Mutex
	left map[workKey][]*work
	// count is how many are in left, and of each caller.
	count    int
	ofCaller map[string]int
	// running counts works that have not ended or are being undone.
	running int
	idle    chan struct{} // closed when nothing runs. Nil: nobody waits for that
	// stopping is closed by stop.
	stopping chan struct{}
	stopOnce sync.Once
}

// workKey names a call: who makes it, and with which arguments.
type workKey struct{ caller, call string }

func newWorks() *works {
	return &works{left: map[workKey][]*work{}, ofCaller: map[string]int{}, stopping: make(chan struct{})}
}

// begin runs do with the values of ctx, but not with its cancellation.
func (ws *works) begin(ctx context.Context, do func(w *work) (*Result, error)) *work {
	w := ws.enter(context.WithoutCancel(ctx))
	w.request = ctx
	go ws.run(w, do)
	return w
}

// enter returns a work that is cancelled with ctx. It runs until run has returned.
func (ws *works) enter(ctx context.Context) *work {
	w := &work{done: make(chan struct{}), request: ctx}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	ws.mu.Lock()
	ws.running++
	ws.mu.Unlock()
	return w
}

func (ws *works) run(w *work, do func(w *work) (*Result, error)) {
	defer ws.ended(w)
	defer func() {
		if r := recover(); r != nil {
			w.result, w.err = nil, fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	w.result, w.err = do(w)
}

func (ws *works) ended(w *work) {
	w.cancel(nil)
	w.ended = time.Now()
	close(w.done)
	ws.stopped()
}

// stopped counts one running work less.
func (ws *works) stopped() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.running--; ws.running == 0 && ws.idle != nil {
		close(ws.idle)
		ws.idle = nil
	}
}

// has reports whether there is a work to join.
func (ws *works) has(key workKey) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.left[key]) > 0
}

// rename moves the works of a caller whose token was replaced.
func (ws *works) rename(from, to string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if from == to {
		return
	}
	for key, waiting := range ws.left {
		if key.caller != from {
			continue
		}
		next := workKey{to, key.call}
		for _, w := range waiting {
			w.key = next
		}
		delete(ws.left, key)
		ws.left[next] = append(ws.left[next], waiting...)
		ws.ofCaller[from] -= len(waiting)
		ws.ofCaller[to] += len(waiting)
	}
	if ws.ofCaller[from] == 0 {
		delete(ws.ofCaller, from)
	}
}

// join returns the work of an earlier call with key that was answered before it was
// done, or nil. No two calls join the same work.
func (ws *works) join(ctx context.Context, key workKey) *work {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	waiting := ws.left[key]
	if len(waiting) == 0 {
		return nil
	}
	w := waiting[0]
	// A decision that was made must not get lost behind an open one.
	if i := slices.IndexFunc(waiting, (*work).hasEnded); i >= 0 {
		w = waiting[i]
	}
	ws.drop(w)
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.rejoined)
	w.rejoined, w.request = nil, ctx
	return w
}

// drop forgets w, and reports whether it was there. The caller holds the lock.
func (ws *works) drop(w *work) bool {
	waiting := ws.left[w.key]
	i := slices.Index(waiting, w)
	if i < 0 {
		return false
	}
	ws.count--
	if ws.ofCaller[w.key.caller]--; ws.ofCaller[w.key.caller] == 0 {
		delete(ws.ofCaller, w.key.caller)
	}
	if len(waiting) == 1 {
		delete(ws.left, w.key)
	} else {
		ws.left[w.key] = slices.Delete(slices.Clone(waiting), i, i+1)
	}
	return true
}

// leave lets w go on without a waiting call, and reports whether there was room for it.
// gone, closed when the client cannot call again, ends it early.
func (ws *works) leave(key workKey, w *work, gone <-chan struct{}) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count >= maxLeft || ws.ofCaller[key.caller] >= maxLeftOfCaller {
		return false
	}
	rejoined := make(chan struct{})
	w.mu.Lock()
	w.rejoined, w.request = rejoined, nil
	w.mu.Unlock()
	w.key = key
	ws.left[key] = append(ws.left[key], w)
	ws.count++
	ws.ofCaller[key.caller]++
	go func() {
		select {
		case <-rejoined:
			return
		case <-ws.stopping:
			return
		case <-gone:
		case <-w.done:
			timer := time.NewTimer(outcomeKept)
			defer timer.Stop()
			select {
			case <-rejoined:
				return
			case <-ws.stopping:
				return
			case <-gone:
			case <-timer.C:
			}
		}
		ws.mu.Lock()
		dropped := ws.drop(w)
		if dropped {
			ws.running++ // so that the server does not stop before it is undone
		}
		ws.mu.Unlock()
		if !dropped {
			return // another request has joined it, or the server stops
		}
		defer ws.stopped()
		w.cancel(errClientGone)
		<-w.done
		w.unheard()
	}()
	return true
}

// unheard waits until w has ended and undoes what it has made.
func (ws *works) unheard(w *work) {
	ws.mu.Lock()
	ws.running++
	ws.mu.Unlock()
	defer ws.stopped()
	<-w.done
	w.unheard()
}

// unheard undoes what is worth nothing if nobody gets the outcome of w, which has ended.
func (w *work) unheard() {
	if w.err == nil && w.result != nil && w.result.undo != nil {
		w.result.undo()
	}
}

// stop ends the works that nobody waits for. It returns once nothing runs or ctx is done.
func (ws *works) stop(ctx context.Context) {
	ws.stopOnce.Do(func() { close(ws.stopping) })
	ws.mu.Lock()
	var ended []*work
	for _, waiting := range ws.left {
		for _, w := range waiting {
			w.cancel(errStopping)
			ended = append(ended, w)
		}
	}
	clear(ws.left)
	clear(ws.ofCaller)
	ws.count = 0
	idle := ws.idle
	switch {
	case ws.running == 0:
		idle = closedChannel
	case idle == nil:
		idle = make(chan struct{})
		ws.idle = idle
	}
	ws.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
		return
	}
	undone := make(chan struct{})
	go func() {
		defer close(undone)
		var all sync.WaitGroup
		for _, w := range ended {
			all.Go(w.unheard)
		}
		all.Wait()
	}()
	select {
	case <-undone:
	case <-ctx.Done():
	}
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// over returns why nobody wants the outcome any more, or nil.
func (w *work) over() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.request != nil && w.request.Err() != nil:
		return errCancelled
	}
	return nil
}

// waitForUser implements [Call.WaitForUser].
func (w *work) waitForUser(ctx context.Context, open OpenState, wait func(ctx context.Context) error) error {
	// The time limit of ctx is for the API.
	ctx, withdraw := context.WithCancelCause(context.WithoutCancel(ctx))
	defer withdraw(nil)
	defer context.AfterFunc(w.ctx, func() { withdraw(context.Cause(w.ctx)) })() //nolint:contextcheck // both count
	w.mu.Lock()
	w.open, w.withdraw = &open, withdraw
	if w.gone {
		withdraw(errClientGone)
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.open, w.withdraw = nil, nil
		w.mu.Unlock()
	}()
	err := wait(ctx)
	if cause := w.over(); cause != nil {
		return &WithdrawnError{cause}
	}
	if err != nil && ctx.Err() != nil {
		return &WithdrawnError{context.Cause(ctx)}
	}
	return err
}

// clientGone ends the wait for the user, and every later one.
func (w *work) clientGone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	if w.withdraw != nil {
		w.withdraw(errClientGone)
	}
}

func (w *work) hasEnded() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// attended reports whether a call waits for the outcome.
func (w *work) attended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.request != nil && w.request.Err() == nil
}

// waitsForUser returns what the user has to do, nil for nothing.
func (w *work) waitsForUser() *OpenState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}
