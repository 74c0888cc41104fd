package server

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// requestSession is what the library sees as the client for the time of one HTTP
// request: its notifications and questions go out on that request's own answer.
type requestSession struct {
	*clientState
	*outbox
	id string
	// questions are those of the session. Nil: the protocol has none.
	questions *questions
	// inFlight are those of the session. Nil: a request ends with its connection
	// alone.
	inFlight *inFlight
	exchange *exchange

	mu           sync.Mutex
	subscription *mcp.SubscriptionFilter
}

var (
	_ server.SessionWithClientInfo         = (*requestSession)(nil)
	_ server.SessionWithProtocolVersion    = (*requestSession)(nil)
	_ server.SessionWithElicitation        = (*requestSession)(nil)
	_ server.SessionWithLogging            = (*requestSession)(nil)
	_ server.SessionWithSubscriptionFilter = (*requestSession)(nil)
)

// answerOn has everything go out on x. m is the request that x answers, nil for a
// stream that answers none.
func (s *requestSession) answerOn(x *exchange, m *message) {
	s.exchange = x
	// A call that goes on must not hold the message that it came with.
	var subscription json.RawMessage
	if m != nil && m.Method == string(mcp.MethodSubscriptionsListen) {
		subscription = bytes.Clone(m.ID)
	}
	s.outbox = newOutbox(maxUnsent, func(n mcp.JSONRPCNotification) {
		if subscription != nil {
			n = tagged(n, subscription)
		}
		_ = x.send(n) // a client that is gone, or takes no events, misses nothing that it needs
	})
}

// tagged marks a notification with the subscription that it belongs to. The
// notification may be on its way to other clients, too.
func tagged(n mcp.JSONRPCNotification, id json.RawMessage) mcp.JSONRPCNotification {
	meta := make(map[string]any, len(n.Params.Meta)+1)
	maps.Copy(meta, n.Params.Meta)
	meta[mcp.MetaKeySubscriptionID] = id
	n.Params.Meta = meta
	return n
}

func (s *requestSession) SessionID() string { return s.id }

// RequestElicitation puts a question to the client and waits for the answer.
func (s *requestSession) RequestElicitation(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	if s.questions == nil {
		return nil, server.ErrServerInitiatedRequestUnsupported
	}
	return s.questions.askPerson(ctx, s.exchange.send, request)
}

// Gone implements tools.Leaving: it ends with the session. A client of a protocol
// without sessions has no end.
func (s *requestSession) Gone() <-chan struct{} {
	if s.questions == nil {
		return nil
	}
	return s.questions.Gone()
}

// SetSubscriptionFilter keeps what the client wants to hear of.
func (s *requestSession) SetSubscriptionFilter(filter mcp.SubscriptionFilter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscription = &filter
}

// SubscriptionFilter returns what the client wants to hear of, and whether it
// said so.
func (s *requestSession) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscription == nil {
		return mcp.SubscriptionFilter{}, false
	}
	return *s.subscription, true
}
