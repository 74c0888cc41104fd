package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/tools"
)

// Bounds of one stdio connection.
const (
	// workingCalls is how many requests are worked on at once. One that waits
	// for the person does not count.
	workingCalls = 64
	// maxWaiting and maxWaitingBytes bound what was read and is not answered.
	maxWaiting      = 10_000
	maxWaitingBytes = 64 << 20
	// drainTimeout is how long calls may still take after the end of input.
	drainTimeout = 60 * time.Second
	// stopTimeout is how long calls may still take after a signal.
	stopTimeout = 500 * time.Millisecond
	// lastWriteTimeout is how long the message that is being written at the end
	// may still take.
	lastWriteTimeout = 250 * time.Millisecond
)

// ServeStdio serves one client until in ends, and answers every request that
// came before its end; or until ctx is done, which ends all calls. Nothing but
// JSON-RPC messages is written to out. It returns an error only if in or out
// failed. A client that no longer reads does not keep it from returning, and out
// is then still being written to.
//
// It takes the place of the library's own stdio transport, which reads lines of
// any length, forgets calls at the end of input, writes notifications after the
// answer that they belong to, and stops reading when many calls wait for the
// client.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newStdioConnection(s, out)
	defer c.stopWriting()
	if err := s.mcp.RegisterSession(ctx, c.session); err != nil {
		return fmt.Errorf("register the stdio session: %w", err)
	}
	defer s.mcp.UnregisterSession(context.WithoutCancel(ctx), c.session.SessionID())
	defer c.session.close()

	read := make(chan error, 1)
	go func() { read <- c.readAll(s.mcp.WithContext(ctx, c.session), in) }()
	select {
	case err := <-read:
		// Nothing more can be answered by the client.
		c.session.hangUp()
		draining, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		if !c.wait(draining, drainTimeout) && ctx.Err() == nil {
			s.log.Warn("gave up waiting for calls after the end of input")
		}
		s.toolbox.Stop(draining)
		return errors.Join(err, c.writeError())
	case <-c.broken:
		c.session.hangUp()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		s.toolbox.Stop(ending)
		return c.writeError()
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		s.toolbox.Stop(ending)
		c.wait(ending, stopTimeout)
		return nil
	}
}

// stdioConnection is one client at the other end of a pair of streams.
type stdioConnection struct {
	server  *Server
	session *stdioSession
	slots   chan struct{}

	calls    sync.WaitGroup
	inFlight *inFlight

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

func newStdioConnection(s *Server, out io.Writer) *stdioConnection {
	c := &stdioConnection{
		server:   s,
		slots:    make(chan struct{}, workingCalls),
		inFlight: newInFlight(),
		out:      out,
		writing:  make(chan struct{}, 1),
		ended:    make(chan struct{}),
		broken:   make(chan struct{}),
	}
	c.session = newStdioSession(c)
	return c
}

func (c *stdioConnection) readAll(ctx context.Context, in io.Reader) error {
	lines := newLineReader(in)
	for ctx.Err() == nil {
		line, err := lines.next()
		var tooLong *lineTooLong
		switch {
		case errors.As(err, &tooLong):
			c.write(errorResponse(tooLong.id, mcp.INVALID_REQUEST, "the message is longer than 4 MiB and was not read"))
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
func (c *stdioConnection) receive(ctx context.Context, line []byte) {
	m, bad := parseMessage(line)
	if bad != nil {
		c.write(bad.answer())
		return
	}
	if mcp.IsModernProtocol(m.metaVersion) {
		ctx = c.server.mcp.WithContext(ctx, c.session.standingAlone())
	}
	switch {
	case m.isAnswer():
		c.session.resolve(m) // one that nobody waits for is dropped
	case m.Method == string(mcp.MethodNotificationCancelled) && !m.isRequest():
		c.inFlight.cancel(m.Params)
	case m.isRequest() && m.Method != string(mcp.MethodInitialize) && m.Method != string(mcp.MethodPing):
		c.start(ctx, m)
	default:
		// The handshake comes before everything that follows it, a ping waits for
		// nothing, and notifications keep their place.
		c.write(c.server.answer(ctx, nil, m))
	}
}

// start works on a request beside the others.
func (c *stdioConnection) start(ctx context.Context, m *message) {
	c.mu.Lock()
	if c.ending {
		c.mu.Unlock()
		return
	}
	if c.waiting >= maxWaiting || c.waitingBytes+len(m.text) > maxWaitingBytes {
		c.mu.Unlock()
		c.write(errorResponse(m.ID, serverBusy, "too many requests are open; wait for answers before sending more"))
		return
	}
	c.waiting++
	c.waitingBytes += len(m.text)
	ctx, end := c.inFlight.begin(ctx, m.ID)
	defer c.mu.Unlock()

	c.calls.Go(func() {
		defer func() {
			end()
			c.mu.Lock()
			c.waiting--
			c.waitingBytes -= len(m.text)
			c.mu.Unlock()
		}()
		slot, began := &slot{slots: c.slots}, time.Now()
		if slot.take(ctx) != nil {
			return
		}
		defer slot.end()
		answer := c.server.answer(tools.WithWaited(withSlot(ctx, slot), time.Since(began)), nil, m)
		if ctx.Err() != nil {
			// The client took the request back, or is gone.
			return
		}
		c.session.flush(ctx)
		c.write(answer)
	})
}

// serverBusy is the error code for requests that are not worked on because too
// many are open; it lies in the range that JSON-RPC leaves to servers.
const serverBusy = -32000

// wait starts no more calls and reports whether all that were started ended
// within limit.
func (c *stdioConnection) wait(ctx context.Context, limit time.Duration) bool {
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

// write sends one message to the client; nil is nothing to send.
func (c *stdioConnection) write(m any) {
	if m == nil {
		return
	}
	data := c.server.encode("", m)
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
		c.session.hangUp()
	}
}

// isOver reports whether nothing may be written any more.
func (c *stdioConnection) isOver() bool {
	select {
	case <-c.ended:
		return true
	case <-c.broken:
		return true
	default:
		return false
	}
}

// stopWriting leaves out alone from now on: it is the caller's again. A client
// that does not read may keep a message from ever being written; nobody waits
// for that.
func (c *stdioConnection) stopWriting() {
	close(c.ended)
	timer := time.NewTimer(lastWriteTimeout)
	defer timer.Stop()
	select {
	case c.writing <- struct{}{}:
	case <-timer.C:
		c.server.log.Warn("the client does not read; an answer was left unwritten")
	}
}

func (c *stdioConnection) writeError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
