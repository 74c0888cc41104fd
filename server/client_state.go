package server

import (
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// clientState is what a client told of itself, and holds for all of its
// requests. It lives as long as a session, so that what is as large as a client
// likes and of no use here is not kept.
type clientState struct {
	mu              sync.Mutex
	initialized     bool
	capabilities    mcp.ClientCapabilities
	protocolVersion string
	logLevel        mcp.LoggingLevel
}

func newClientState() *clientState { return &clientState{logLevel: mcp.LoggingLevelError} }

func (s *clientState) Initialize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initialized = true
}

func (s *clientState) Initialized() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initialized
}

// GetClientInfo implements the library's SessionWithClientInfo. Nobody asks what a
// client is called.
func (s *clientState) GetClientInfo() mcp.Implementation { return mcp.Implementation{} }

// SetClientInfo keeps nothing.
func (s *clientState) SetClientInfo(mcp.Implementation) {}

func (s *clientState) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

// SetClientCapabilities keeps what the server may ask of the client, and no
// extensions and experiments.
func (s *clientState) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = mcp.ClientCapabilities{
		Elicitation: capabilities.Elicitation,
		Sampling:    capabilities.Sampling,
		Roots:       capabilities.Roots,
	}
}

func (s *clientState) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocolVersion
}

// SetProtocolVersion keeps what the handshake agreed on. A request of the
// stateless protocol says its version itself and does not change it.
func (s *clientState) SetProtocolVersion(version string) {
	if mcp.IsModernProtocol(version) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protocolVersion = version
}

func (s *clientState) GetLogLevel() mcp.LoggingLevel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logLevel
}

func (s *clientState) SetLogLevel(level mcp.LoggingLevel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logLevel = level
}
