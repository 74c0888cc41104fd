package server

import (
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// clientState is what a client told of itself, and holds for all of its
// requests.
type clientState struct {
	mu              sync.Mutex
	initialized     bool
	clientInfo      mcp.Implementation
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

func (s *clientState) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clientInfo
}

func (s *clientState) SetClientInfo(info mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientInfo = info
}

func (s *clientState) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

func (s *clientState) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = capabilities
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
