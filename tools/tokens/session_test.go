package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// legacySession is a client of a protocol before 2026-07-28: its capabilities
// were told once, and it is asked while a call runs.
type legacySession struct {
	capabilities mcp.ClientCapabilities
	// answer is what the person does, as the client sends it. Nil: the client
	// was asked although it must not be.
	answer func(ctx context.Context) (json.RawMessage, error)
	left   *record

	mu        sync.Mutex
	questions []mcp.ElicitationParams
}

var (
	_ server.SessionWithClientInfo  = (*legacySession)(nil)
	_ server.SessionWithElicitation = (*legacySession)(nil)
)

var errNotToBeAsked = errors.New("this client cannot be asked")

func (s *legacySession) RequestElicitation(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	sent, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, err := s.left.Write(sent); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.questions = append(s.questions, request.Params)
	s.mu.Unlock()
	if s.answer == nil {
		return nil, errNotToBeAsked
	}
	raw, err := s.answer(ctx)
	if err != nil {
		return nil, err
	}
	var result mcp.ElicitationResult
	if err := json.Unmarshal(raw, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

func (s *legacySession) asked() []mcp.ElicitationParams {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]mcp.ElicitationParams(nil), s.questions...)
}

func (*legacySession) Initialize()                                         {}
func (*legacySession) Initialized() bool                                   { return true }
func (*legacySession) SessionID() string                                   { return "legacy" }
func (*legacySession) NotificationChannel() chan<- mcp.JSONRPCNotification { return nil }
func (*legacySession) GetClientInfo() mcp.Implementation                   { return mcp.Implementation{} }
func (*legacySession) SetClientInfo(mcp.Implementation)                    {}
func (s *legacySession) GetClientCapabilities() mcp.ClientCapabilities     { return s.capabilities }
func (s *legacySession) SetClientCapabilities(c mcp.ClientCapabilities)    { s.capabilities = c }

// asksWith is a client that declares elicitation as the JSON says ("" for not at
// all) and whose person answers with answer.
func (f *fixture) asksWith(capability, answer string) *legacySession {
	return f.asks(capability, func(context.Context) (json.RawMessage, error) { return json.RawMessage(answer), nil })
}

func (f *fixture) asks(capability string, answer func(context.Context) (json.RawMessage, error)) *legacySession {
	f.t.Helper()
	session := &legacySession{answer: answer, left: f.left}
	if capability != "" {
		if err := json.Unmarshal([]byte(`{"elicitation":`+capability+`}`), &session.capabilities); err != nil {
			f.t.Fatal(err)
		}
	}
	return session
}

const (
	agreed   = `{"action":"accept","content":{"approve":true}}`
	declined = `{"action":"decline"}`
)
