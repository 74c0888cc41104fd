package rpc

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// ClientState is what a client said about itself. It lives as long as a session, so
// it keeps nothing that clients can make large and that is of no use.
type ClientState struct {
	mu              sync.Mutex
	initialized     bool
	capabilities    mcp.ClientCapabilities
	protocolVersion string
	logLevel        mcp.LoggingLevel
}

// NewClientState returns the state of a client that said nothing yet.
func NewClientState() *ClientState { return &ClientState{logLevel: mcp.LoggingLevelError} }

// Initialize implements the library's ClientSession.
func (s *ClientState) Initialize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initialized = true
}

// Initialized implements the library's ClientSession.
func (s *ClientState) Initialized() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initialized
}

// GetClientInfo implements the library's SessionWithClientInfo.
func (s *ClientState) GetClientInfo() mcp.Implementation { return mcp.Implementation{} }

// SetClientInfo keeps nothing.
func (s *ClientState) SetClientInfo(mcp.Implementation) {}

// GetClientCapabilities implements the library's SessionWithClientInfo.
func (s *ClientState) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

// SetClientCapabilities keeps what the server may ask of the client, without
// extensions and experiments.
func (s *ClientState) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = mcp.ClientCapabilities{
		Elicitation: capabilities.Elicitation,
		Sampling:    capabilities.Sampling,
		Roots:       capabilities.Roots,
	}
}

// ProtocolVersion implements the library's SessionWithProtocolVersion.
func (s *ClientState) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocolVersion
}

// SetProtocolVersion keeps the version of the handshake. Requests of the stateless
// protocol have their own, and do not change it.
func (s *ClientState) SetProtocolVersion(version string) {
	if mcp.IsModernProtocol(version) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protocolVersion = version
}

// GetLogLevel implements the library's SessionWithLogging.
func (s *ClientState) GetLogLevel() mcp.LoggingLevel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logLevel
}

// SetLogLevel implements the library's SessionWithLogging.
func (s *ClientState) SetLogLevel(level mcp.LoggingLevel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logLevel = level
}

// InFlight are the requests of one client that are being worked on, so that it can
// cancel them. Their ids are compared as they were written. The library would
// confuse some, because it turns numbers into floats and drops the quotes of
// strings.
type InFlight struct {
	mu   sync.Mutex
	open map[string]*context.CancelFunc // by the id's JSON
}

// NewInFlight returns an empty InFlight.
func NewInFlight() *InFlight { return &InFlight{open: map[string]*context.CancelFunc{}} }

// Begin returns the context of a request, which ends when the client cancels the
// request, and a function to call when the request is answered. Of requests with
// equal ids the latest can be cancelled. A nil InFlight cancels none.
func (f *InFlight) Begin(ctx context.Context, id json.RawMessage) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	if f == nil {
		return ctx, cancel
	}
	begun := &cancel // no other request has the same pointer
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[string(id)] = begun
	return ctx, func() {
		cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.open[string(id)] == begun {
			delete(f.open, string(id))
		}
	}
}

// Cancel ends the request that a notification with params cancels, if there is one.
func (f *InFlight) Cancel(params json.RawMessage) {
	var cancelled struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(params, &cancelled) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel := f.open[string(cancelled.RequestID)]; cancel != nil {
		(*cancel)()
	}
}

// Outbox writes notifications in the order in which they were sent. It costs
// next to nothing until the first one.
type Outbox struct {
	write func(mcp.JSONRPCNotification)
	size  int

	mu     sync.Mutex
	queue  chan mcp.JSONRPCNotification
	closed chan struct{}
}

// NewOutbox returns an outbox in which up to size notifications wait to be
// written. The library drops those that do not fit.
func NewOutbox(size int, write func(mcp.JSONRPCNotification)) *Outbox {
	return &Outbox{write: write, size: size, closed: make(chan struct{})}
}

// NotificationChannel is where the library puts notifications.
func (o *Outbox) NotificationChannel() chan<- mcp.JSONRPCNotification {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		o.queue = make(chan mcp.JSONRPCNotification, o.size)
		go o.pump(o.queue)
	}
	return o.queue
}

// barrierMethod marks an entry that is not a notification but a call of Flush.
const barrierMethod = "\x00barrier"

func (o *Outbox) pump(queue <-chan mcp.JSONRPCNotification) {
	for {
		select {
		case n := <-queue:
			if n.Method == barrierMethod {
				if passed, ok := n.Params.AdditionalFields[barrierMethod].(chan struct{}); ok {
					close(passed)
				}
				continue
			}
			o.write(n)
		case <-o.closed:
			return
		}
	}
}

// Flush returns when every notification sent so far is written, so that none comes
// after the answer that it belongs to.
func (o *Outbox) Flush(ctx context.Context) {
	o.mu.Lock()
	queue := o.queue
	o.mu.Unlock()
	if queue == nil {
		return
	}
	passed := make(chan struct{})
	barrier := mcp.JSONRPCNotification{}
	barrier.Method = barrierMethod
	barrier.Params.AdditionalFields = map[string]any{barrierMethod: passed}
	select {
	case queue <- barrier:
	case <-o.closed:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-passed:
	case <-o.closed:
	case <-ctx.Done():
	}
}

// Close ends the writing. It must be called once.
func (o *Outbox) Close() { close(o.closed) }
