package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// maxUnwritten bounds the notifications that wait to be written. The library
// drops those that do not fit.
const maxUnwritten = 4096

// stdioSession is the one client of a stdio connection, as the library sees it.
type stdioSession struct {
	connection    *stdioConnection
	notifications chan mcp.JSONRPCNotification
	initialized   atomic.Bool

	mu              sync.Mutex
	clientInfo      mcp.Implementation
	capabilities    mcp.ClientCapabilities
	protocolVersion string
	logLevel        mcp.LoggingLevel
	lastRequest     int64
	asked           map[string]chan<- *message // our requests, by id
	hungUp          chan struct{}
	hangUpOnce      sync.Once
}

var (
	_ server.SessionWithClientInfo      = (*stdioSession)(nil)
	_ server.SessionWithProtocolVersion = (*stdioSession)(nil)
	_ server.SessionWithElicitation     = (*stdioSession)(nil)
	_ server.SessionWithLogging         = (*stdioSession)(nil)
)

func newStdioSession(c *stdioConnection) *stdioSession {
	return &stdioSession{
		connection:    c,
		notifications: make(chan mcp.JSONRPCNotification, maxUnwritten),
		logLevel:      mcp.LoggingLevelError,
		asked:         map[string]chan<- *message{},
		hungUp:        make(chan struct{}),
	}
}

// barrierMethod marks what is no notification but a call waiting for those
// before it to be written.
const barrierMethod = "\x00barrier"

// pump writes notifications, in the order in which they were sent.
func (s *stdioSession) pump(ctx context.Context) {
	for {
		select {
		case n := <-s.notifications:
			if n.Method == barrierMethod {
				if passed, ok := n.Params.AdditionalFields[barrierMethod].(chan struct{}); ok {
					close(passed)
				}
				continue
			}
			s.connection.write(n)
		case <-ctx.Done():
			return
		}
	}
}

// flush returns once every notification sent so far is written, so that none
// comes after the answer that it belongs to.
func (s *stdioSession) flush(ctx context.Context) {
	passed := make(chan struct{})
	barrier := mcp.JSONRPCNotification{}
	barrier.Method = barrierMethod
	barrier.Params.AdditionalFields = map[string]any{barrierMethod: passed}
	select {
	case s.notifications <- barrier:
	case <-ctx.Done():
		return
	}
	select {
	case <-passed:
	case <-ctx.Done():
	}
}

// RequestElicitation puts a question to the client and waits for the answer.
func (s *stdioSession) RequestElicitation(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	// Nobody knows how long a person takes: let others work meanwhile.
	place := slotFrom(ctx)
	place.release()
	answer, err := s.ask(ctx, string(mcp.MethodElicitationCreate), request.Params)
	if again := place.take(ctx); err == nil {
		err = again
	}
	if err != nil {
		return nil, err
	}
	var result mcp.ElicitationResult
	if err := json.Unmarshal(answer, &result); err != nil {
		return nil, fmt.Errorf("the client's answer cannot be read: %w", err)
	}
	return &result, nil
}

var errHungUp = errors.New("the client closed its end before it answered")

// ask sends a request to the client and returns the result of its answer.
func (s *stdioSession) ask(ctx context.Context, method string, params any) (json.RawMessage, error) {
	answer := make(chan *message, 1)
	s.mu.Lock()
	s.lastRequest++
	number := s.lastRequest
	id := strconv.FormatInt(number, 10)
	s.asked[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.asked, id)
		s.mu.Unlock()
	}()

	s.connection.write(struct {
		JSONRPC string `json:"jsonrpc"`
		ID      int64  `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{mcp.JSONRPC_VERSION, number, method, params})
	select {
	case m := <-answer:
		return resultOf(m)
	case <-s.hungUp:
	case <-s.connection.broken:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case m := <-answer:
		// It came right before the end.
		return resultOf(m)
	default:
		return nil, errHungUp
	}
}

func resultOf(m *message) (json.RawMessage, error) {
	if m.Error != nil && string(m.Error) != "null" {
		return nil, errors.New("the client answered the question with an error")
	}
	return m.Result, nil
}

// resolve hands the client's answer to the call that asked. One that nobody
// waits for is dropped.
func (s *stdioSession) resolve(m *message) {
	s.mu.Lock()
	answer := s.asked[string(m.ID)]
	delete(s.asked, string(m.ID))
	s.mu.Unlock()
	if answer != nil {
		answer <- m
	}
}

// hangUp ends the wait for every answer that can no longer come.
func (s *stdioSession) hangUp() { s.hangUpOnce.Do(func() { close(s.hungUp) }) }

func (s *stdioSession) SessionID() string { return "stdio" }

func (s *stdioSession) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notifications }

func (s *stdioSession) Initialize() { s.initialized.Store(true) }

func (s *stdioSession) Initialized() bool { return s.initialized.Load() }

func (s *stdioSession) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clientInfo
}

func (s *stdioSession) SetClientInfo(info mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientInfo = info
}

func (s *stdioSession) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

func (s *stdioSession) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = capabilities
}

func (s *stdioSession) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocolVersion
}

// SetProtocolVersion keeps what the handshake agreed on. A request of the
// stateless protocol says its version itself and does not change it.
func (s *stdioSession) SetProtocolVersion(version string) {
	if mcp.IsModernProtocol(version) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protocolVersion = version
}

func (s *stdioSession) GetLogLevel() mcp.LoggingLevel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logLevel
}

func (s *stdioSession) SetLogLevel(level mcp.LoggingLevel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logLevel = level
}
