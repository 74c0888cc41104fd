// Package stdio serves MCP to one client over a pair of streams.
//
// It replaces the library's own stdio transport, which reads lines of any length,
// forgets calls at the end of input, writes notifications after the answer that they
// belong to, and stops reading when many calls wait for the client.
package stdio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Limits of one connection.
const (
	// WorkingCalls is how many requests are worked on at once. One that waits for
	// its user does not count.
	WorkingCalls = 64
	// MaxWaiting and maxWaitingBytes bound the requests that were read and are not
	// answered.
	MaxWaiting      = 10_000
	maxWaitingBytes = 64 << 20
	// restingWorkers is how many goroutines are kept for the next requests. A new one
	// would have to grow its stack first.
	restingWorkers = 4
	// drainTimeout is how long calls may still take after the end of input.
	drainTimeout = 60 * time.Second
	// stopTimeout is how long calls may still take after a signal.
	stopTimeout = 500 * time.Millisecond
	// lastWriteTimeout is how long a message that is being written at the end may
	// still take.
	lastWriteTimeout = 250 * time.Millisecond
)

// Serve serves one client until in ends, and answers every request before that end.
// If ctx is done first, all calls end. stop ends the work that tools still do. Only
// JSON-RPC messages are written to out. Serve returns an error only if in or out
// failed. It returns even if the client no longer reads; a write to out may still
// be blocked then.
func Serve(ctx context.Context, h *rpc.Handler, stop func(context.Context), in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newConnection(h, out)
	defer c.stopWriting()
	if err := h.MCP.RegisterSession(ctx, c.session); err != nil {
		return fmt.Errorf("register the stdio session: %w", err)
	}
	defer h.MCP.UnregisterSession(context.WithoutCancel(ctx), c.session.SessionID())
	defer c.session.Close()

	read := make(chan error, 1)
	go func() { read <- c.readAll(h.MCP.WithContext(ctx, c.session), in) }()
	select {
	case err := <-read:
		// The client can no longer answer questions.
		c.session.HangUp()
		draining, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		if !c.wait(draining, drainTimeout) && ctx.Err() == nil {
			h.Log.Warn("stopped waiting for calls after the end of input")
		}
		stop(draining)
		return errors.Join(err, c.writeError())
	case <-c.broken:
		c.session.HangUp()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stop(ending)
		return c.writeError()
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stop(ending)
		c.wait(ending, stopTimeout)
		return nil
	}
}

// connection is one client at the other end of a pair of streams.
type connection struct {
	rpc     *rpc.Handler
	session *session
	slots   chan struct{}

	calls    sync.WaitGroup
	jobs     chan func()   // for workers that have nothing to do
	resting  chan struct{} // has a place for each of them
	inFlight *rpc.InFlight

	mu           sync.Mutex
	ending       bool
	waiting      int
	waitingBytes int
	failed       error // of out

	out     io.Writer
	writing chan struct{} // has room for the one who writes to out
	ended   chan struct{} // closed when nobody may write to out any more
	broken  chan struct{} // closed when out failed
}

func newConnection(h *rpc.Handler, out io.Writer) *connection {
	c := &connection{
		rpc:      h,
		slots:    make(chan struct{}, WorkingCalls),
		jobs:     make(chan func()),
		resting:  make(chan struct{}, restingWorkers),
		inFlight: rpc.NewInFlight(),
		out:      out,
		writing:  make(chan struct{}, 1),
		ended:    make(chan struct{}),
		broken:   make(chan struct{}),
	}
	c.session = newSession(c)
	return c
}

func (c *connection) readAll(ctx context.Context, in io.Reader) error {
	lines := rpc.NewLineReader(in)
	for ctx.Err() == nil {
		line, err := lines.Next()
		var tooLong *rpc.LineTooLong
		switch {
		case errors.As(err, &tooLong):
			c.write(rpc.ErrorResponse(tooLong.ID, mcp.INVALID_REQUEST, "the message is longer than 4 MiB and was not read"))
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read standard input: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			c.receive(ctx, line)
		}
	}
	return nil
}

// receive routes one message. It never waits for a call, so that answers,
// cancellations and pings get through however many calls are open.
func (c *connection) receive(ctx context.Context, line []byte) {
	m, bad := rpc.Parse(line)
	if bad != nil {
		c.write(bad.Answer())
		return
	}
	if mcp.IsModernProtocol(m.Version) {
		ctx = c.rpc.MCP.WithContext(ctx, c.session.standingAlone())
	}
	switch {
	case m.IsAnswer():
		c.session.Resolve(m) // one that nobody waits for is dropped
	case m.Method == string(mcp.MethodNotificationCancelled) && !m.IsRequest():
		c.inFlight.Cancel(m.Params)
	case m.IsRequest() && m.Method != string(mcp.MethodInitialize) && m.Method != string(mcp.MethodPing):
		c.start(ctx, m)
	default:
		// The handshake comes before everything that follows it, a ping waits for
		// nothing, and notifications keep their place.
		c.write(c.rpc.Answer(ctx, nil, m))
	}
}

// start works on a request concurrently.
func (c *connection) start(ctx context.Context, m *rpc.Message) {
	c.mu.Lock()
	if c.ending {
		c.mu.Unlock()
		return
	}
	if c.waiting >= MaxWaiting || c.waitingBytes+len(m.Text) > maxWaitingBytes {
		c.mu.Unlock()
		c.write(rpc.ErrorResponse(m.ID, Busy, "too many requests are open; wait for answers before sending more"))
		return
	}
	c.waiting++
	c.waitingBytes += len(m.Text)
	ctx, end := c.inFlight.Begin(ctx, m.ID)
	defer c.mu.Unlock()

	c.work(func() {
		defer func() {
			end()
			c.mu.Lock()
			c.waiting--
			c.waitingBytes -= len(m.Text)
			c.mu.Unlock()
		}()
		slot, began := &slot{slots: c.slots}, time.Now()
		if slot.take(ctx) != nil {
			return
		}
		defer slot.end()
		answer := c.rpc.Answer(tools.WithWaited(withSlot(ctx, slot), time.Since(began)), nil, m)
		if ctx.Err() != nil {
			// The client cancelled the request, or is gone.
			return
		}
		c.session.Flush(ctx)
		c.write(answer)
	})
}

// work runs a job concurrently.
func (c *connection) work(job func()) {
	c.calls.Add(1)
	select {
	case c.jobs <- job:
	default:
		go c.runJobs(job)
	}
}

// runJobs runs a job, and then others as long as there is a place to rest between them.
func (c *connection) runJobs(job func()) {
	for {
		job()
		c.calls.Done()
		select {
		case c.resting <- struct{}{}:
		default:
			return
		}
		select {
		case job = <-c.jobs:
			<-c.resting
		case <-c.ended:
			return
		}
	}
}

// Busy is the error code for requests that are refused because too many are open.
// It is in the range that JSON-RPC leaves to servers.
const Busy = -32000

// wait starts no more calls, and reports whether all that were started ended within
// limit.
func (c *connection) wait(ctx context.Context, limit time.Duration) bool {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.calls.Wait()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-c.broken:
	}
	return false
}

// write sends one message to the client, unless it is nil.
func (c *connection) write(m any) {
	if m == nil {
		return
	}
	data := c.rpc.Encode("", m)
	if data == nil {
		return
	}
	select {
	case c.writing <- struct{}{}:
	case <-c.ended:
		return
	}
	defer func() { <-c.writing }()
	if c.isOver() {
		return
	}
	if _, err := c.out.Write(append(data, '\n')); err != nil {
		c.mu.Lock()
		c.failed = fmt.Errorf("write to standard output: %w", err)
		c.mu.Unlock()
		close(c.broken)
		c.session.HangUp()
	}
}

// isOver reports whether nothing may be written any more.
func (c *connection) isOver() bool {
	select {
	case <-c.ended:
		return true
	case <-c.broken:
		return true
	default:
		return false
	}
}

// stopWriting returns out to the caller of Serve. It does not wait for a client
// that does not read.
func (c *connection) stopWriting() {
	close(c.ended)
	timer := time.NewTimer(lastWriteTimeout)
	defer timer.Stop()
	select {
	case c.writing <- struct{}{}:
	case <-timer.C:
		c.rpc.Log.Warn("the client does not read; an answer was not written")
	}
}

func (c *connection) writeError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
