package server

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// maxUnwritten bounds the notifications that wait to be written.
const maxUnwritten = 4096

// stdioSession is the one client of a stdio connection, as the library sees it.
type stdioSession struct {
	*clientState
	*outbox
	*questions
	connection *stdioConnection
}

var (
	_ server.SessionWithClientInfo      = (*stdioSession)(nil)
	_ server.SessionWithProtocolVersion = (*stdioSession)(nil)
	_ server.SessionWithElicitation     = (*stdioSession)(nil)
	_ server.SessionWithLogging         = (*stdioSession)(nil)
)

func newStdioSession(c *stdioConnection) *stdioSession {
	return &stdioSession{
		clientState: newClientState(),
		outbox:      newOutbox(maxUnwritten, func(n mcp.JSONRPCNotification) { c.write(n) }),
		questions:   newQuestions(),
		connection:  c,
	}
}

// standingAlone is the client as a request of protocol 2026-07-28 sees it, which
// tells itself what the client can do. The library would note that for the
// requests of older protocols, too.
func (s *stdioSession) standingAlone() *stdioSession {
	alone := *s
	alone.clientState = newClientState()
	return &alone
}

// RequestElicitation puts a question to the client and waits for the answer.
func (s *stdioSession) RequestElicitation(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	// Nobody knows how long a person takes: let others work meanwhile.
	place := slotFrom(ctx)
	place.release()
	result, err := s.askPerson(ctx, s.send, request)
	_ = place.take(ctx) // where it cannot wait any more, what is left needs no place
	return result, err
}

func (s *stdioSession) send(m any) error {
	s.connection.write(m)
	return nil
}

func (s *stdioSession) SessionID() string { return "stdio" }
