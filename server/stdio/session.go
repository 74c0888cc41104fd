package stdio

import (
	"context"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
)

// maxUnwritten bounds the notifications that wait to be written.
const maxUnwritten = 4096

// session is the one client of a stdio connection, as the library sees it.
type session struct {
	*rpc.ClientState
	*rpc.Outbox
	*rpc.Questions
	connection *connection
}

var (
	_ server.SessionWithClientInfo      = (*session)(nil)
	_ server.SessionWithProtocolVersion = (*session)(nil)
	_ server.SessionWithElicitation     = (*session)(nil)
	_ server.SessionWithLogging         = (*session)(nil)
)

func newSession(c *connection) *session {
	return &session{
		ClientState: rpc.NewClientState(),
		Outbox:      rpc.NewOutbox(maxUnwritten, func(n mcp.JSONRPCNotification) { c.write(n) }),
		Questions:   rpc.NewQuestions(),
		connection:  c,
	}
}

// standingAlone is the client as a request of protocol 2026-07-28 sees it. Such a
// request has the client's capabilities in it, which the library would otherwise
// note for requests of older protocols, too.
func (s *session) standingAlone() *session {
	alone := *s
	alone.ClientState = rpc.NewClientState()
	return &alone
}

// RequestElicitation puts a question to the client and waits for the answer.
func (s *session) RequestElicitation(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	// A user may take long: let other requests work meanwhile.
	place := slotFrom(ctx)
	place.release()
	result, err := s.AskPerson(ctx, s.send, request)
	_ = place.take(ctx) // where it cannot wait any more, what is left needs no place
	return result, err
}

func (s *session) send(m any) error {
	s.connection.write(m)
	return nil
}

func (s *session) SessionID() string { return "stdio" }

// slot is a request's place among those that are worked on at once. A request that
// waits for its user gives its place up meanwhile.
type slot struct {
	slots chan struct{}

	mu   sync.Mutex
	held bool
	// over is set when the request is answered. Work that still goes on for it
	// needs no place.
	over bool
}

type slotKey struct{}

func withSlot(ctx context.Context, s *slot) context.Context {
	return context.WithValue(ctx, slotKey{}, s)
}

func slotFrom(ctx context.Context) *slot {
	s, _ := ctx.Value(slotKey{}).(*slot)
	return s
}

func (s *slot) take(ctx context.Context) error {
	if s == nil || s.isTaken() {
		return nil
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		<-s.slots
		return nil
	}
	s.held = true
	return nil
}

// isTaken reports whether there is nothing to take.
func (s *slot) isTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held || s.over
}

func (s *slot) release() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		<-s.slots
		s.held = false
	}
}

// end gives the place up for good.
func (s *slot) end() {
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}
