// Package streamable serves MCP over streamable HTTP to many clients, in both forms:
// with sessions, as up to protocol 2025-11-25, and without, as from 2026-07-28.
package streamable

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxUnsent bounds the notifications of one request that wait to be sent.
const maxUnsent = 256

// sessionPatience is how long a client should wait when there is no room for its
// session.
const sessionPatience = 5 * time.Second

// Endpoint is the MCP endpoint. Each request shows which form of the transport it
// uses.
//
// It replaces the library's own transport, which loses notifications that are sent
// right before an answer, opens streams for sessions that nobody opened, and finds
// requests to cancel by numbers that users share.
type Endpoint struct {
	rpc      *rpc.Handler
	metrics  edge.Metrics
	sessions *sessions
	requests atomic.Int64
	// mirroring records by name which tools have arguments that are in headers, too.
	mirroring sync.Map
}

// Config is what an [Endpoint] is made from.
type Config struct {
	RPC     *rpc.Handler
	Metrics edge.Metrics
	// SessionIdle is how long a session may be silent.
	SessionIdle time.Duration
	// Now is the clock of sessions.
	Now func() time.Time
	// OpenSessions counts the sessions that are open.
	OpenSessions *atomic.Int64
}

// New returns an Endpoint.
func New(config Config) *Endpoint {
	return &Endpoint{
		rpc: config.RPC, metrics: config.Metrics,
		sessions: newSessions(maxSessions, maxSessionsPerCaller, config.SessionIdle, config.Now, config.OpenSessions),
	}
}

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mergeVersions(r.Header)
	switch {
	case r.Method == http.MethodPost:
		e.post(w, r)
	case mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)):
		w.Header().Set("Allow", http.MethodPost)
		edge.WriteProblem(w, http.StatusMethodNotAllowed, "method_not_allowed",
			"this version of the protocol has no sessions: send messages with POST, and listen with subscriptions/listen")
	case !e.speaks(w, r):
	case r.Method == http.MethodGet:
		e.listen(w, r)
	default:
		e.endSession(w, r)
	}
}

// mergeVersions merges a protocol version that the header names several times, on
// lines of its own or in a list, because something between client and server added
// it again. Different versions stay, and are refused.
func mergeVersions(header http.Header) {
	lines := header.Values(mcp.HeaderProtocolVersion)
	if len(lines) == 0 || len(lines) == 1 && mcp.IsValidProtocolVersion(lines[0]) {
		return
	}
	named := strings.Split(strings.Join(lines, ","), ",")
	first := strings.TrimSpace(named[0])
	if !slices.ContainsFunc(named, func(version string) bool { return strings.TrimSpace(version) != first }) {
		header.Set(mcp.HeaderProtocolVersion, first)
	}
}

// speaks refuses unknown versions of the protocol. Clients of 2025-03-26 and before
// name none.
func (e *Endpoint) speaks(w http.ResponseWriter, r *http.Request) bool {
	versions := r.Header.Values(mcp.HeaderProtocolVersion)
	if len(versions) == 0 || len(versions) == 1 && mcp.IsValidProtocolVersion(versions[0]) {
		return true
	}
	edge.WriteProblem(w, http.StatusBadRequest, "unsupported_version", "this server does not support the version of the protocol in "+mcp.HeaderProtocolVersion+"; it supports "+supportedVersions())
	return false
}

// supportedVersions lists the versions of the protocol that this server speaks.
func supportedVersions() string { return strings.Join(mcp.ValidProtocolVersions, ", ") }

func (e *Endpoint) post(w http.ResponseWriter, r *http.Request) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		edge.WriteProblem(w, http.StatusUnsupportedMediaType, "unsupported_media_type", "send the message as application/json")
		return
	}
	m, bad := messageOf(r)
	if bad != nil {
		edge.NoteReason(w, refusedBadMessage, "")
		e.lost(writeMessage(w, http.StatusBadRequest, bad.Answer()))
		return
	}
	initializing := m.Method == string(mcp.MethodInitialize) && m.IsRequest()
	// A client that sends initialize speaks a version with sessions, whatever its
	// header asks for. The answer names the version.
	if mcp.IsModernProtocol(m.Version) || !initializing && mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) {
		e.postStateless(w, r, m)
		return
	}
	if !initializing && !e.speaks(w, r) {
		return
	}
	e.postInSession(w, r, m, initializing)
}

// postStateless handles a message of protocol 2026-07-28.
func (e *Endpoint) postStateless(w http.ResponseWriter, r *http.Request, m *rpc.Message) {
	switch {
	case m.IsAnswer():
		edge.NoteReason(w, refusedBadMessage, "")
		e.lost(writeMessage(w, http.StatusBadRequest, rpc.ErrorResponse(m.ID, mcp.INVALID_REQUEST,
			"this version of the protocol does not answer questions with messages; call again with inputResponses")))
		return
	case !m.IsRequest():
		// A client cancels by closing the connection. A message could cancel a
		// request of another user with the same number.
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if refusal := e.checkHeaders(r, m); refusal != nil {
		edge.NoteReason(w, reasonForHeaders(refusal), "")
		e.lost(writeMessage(w, http.StatusBadRequest, refusal))
		return
	}
	session := &requestSession{id: "request " + strconv.FormatInt(e.requests.Add(1), 10), ClientState: rpc.NewClientState()}
	e.exchange(w, r, m, session)
}

// reasonForHeaders returns why checkHeaders refuses a request.
func reasonForHeaders(refusal mcp.JSONRPCMessage) edge.Reason {
	if failure, ok := refusal.(mcp.JSONRPCError); ok && failure.Error.Code == mcp.UNSUPPORTED_PROTOCOL_VERSION {
		return "unsupported_version"
	}
	return refusedHeaders
}

// postInSession handles a message of a protocol before 2026-07-28.
func (e *Endpoint) postInSession(w http.ResponseWriter, r *http.Request, m *rpc.Message, initializing bool) {
	caller, _ := identity.CallerFrom(r.Context())
	if initializing {
		s, err := e.sessions.start(caller.ID)
		if err != nil {
			e.refuseSession(w, err)
			return
		}
		defer e.sessions.release(s)
		w.Header().Set(mcp.HeaderSessionID, s.id)
		if !e.exchange(w, r, m, s.forRequest()) {
			e.sessions.end(s)
		}
		return
	}
	s, ok := e.session(w, r, caller.ID)
	if !ok {
		return
	}
	defer e.sessions.release(s)
	switch {
	case m.IsAnswer():
		if !s.questions.Resolve(m) {
			edge.WriteProblem(w, http.StatusBadRequest, "unknown_question", "no question with this id is waiting for an answer")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	case m.IsRequest():
		e.exchange(w, r, m, s.forRequest())
	case m.Method == string(mcp.MethodNotificationCancelled):
		s.inFlight.Cancel(m.Params)
		w.WriteHeader(http.StatusAccepted)
	default:
		e.rpc.Answer(e.rpc.MCP.WithContext(r.Context(), s.forRequest()), r.Header, m)
		w.WriteHeader(http.StatusAccepted)
	}
}

// refuseSession answers that there is no room for a session.
func (e *Endpoint) refuseSession(w http.ResponseWriter, err error) {
	if errors.Is(err, errCallerSessions) {
		e.metrics.Refused("user")
		edge.RefuseForNow(w, sessionPatience, fmt.Sprintf("%d sessions of your user are open, and each has an unanswered request; end one, or wait", maxSessionsPerCaller))
		return
	}
	e.metrics.Refused("sessions")
	w.Header().Set("Retry-After", edge.Seconds(sessionPatience))
	edge.WriteProblem(w, http.StatusServiceUnavailable, "busy",
		"this server has no room for another session, because all are in use; try again in a moment, or use protocol "+mcp.ProtocolVersion20260728+", which needs no session")
}

// session finds the session that a request names, in use until it is released,
// or answers that there is none.
func (e *Endpoint) session(w http.ResponseWriter, r *http.Request, callerID string) (*session, bool) {
	named := r.Header.Values(mcp.HeaderSessionID)
	if len(named) != 1 || named[0] == "" {
		edge.WriteProblem(w, http.StatusBadRequest, "missing_session",
			"start a session with initialize and send its "+mcp.HeaderSessionID+", or use protocol "+mcp.ProtocolVersion20260728)
		return nil, false
	}
	s := e.sessions.use(named[0], callerID)
	if s == nil {
		edge.WriteProblem(w, http.StatusNotFound, "unknown_session", "there is no such session; start one with initialize")
		return nil, false
	}
	return s, true
}

// exchange answers a request, and reports whether the answer was a result.
func (e *Endpoint) exchange(w http.ResponseWriter, r *http.Request, m *rpc.Message, session *requestSession) (succeeded bool) {
	x := newExchange(w, r)
	defer x.end()
	session.answerOn(x, m)
	defer session.Close()
	ctx := r.Context()
	if m.Method == string(mcp.MethodSubscriptionsListen) && session.questions == nil {
		// Only requests of the stateless protocol are registered, so that
		// notifications to all clients reach them. Those of a session share its
		// number, and could not be registered side by side.
		if err := e.rpc.MCP.RegisterSession(ctx, session); err != nil {
			panic(fmt.Sprintf("two requests with one number: %v", err))
		}
		defer e.rpc.MCP.UnregisterSession(context.WithoutCancel(ctx), session.id)
	}
	working, done := session.inFlight.Begin(ctx, m.ID)
	defer done()
	answer := e.rpc.Answer(e.rpc.MCP.WithContext(working, session), r.Header, m)
	if ctx.Err() != nil {
		return false // nobody is there to read it
	}
	session.Flush(ctx)
	status := http.StatusOK
	failure, failed := answer.(mcp.JSONRPCError)
	if failed && mcp.IsModernProtocol(m.Version) {
		status = statusOf(failure.Error.Code)
	}
	if failed && m.Method == string(mcp.MethodInitialize) {
		w.Header().Del(mcp.HeaderSessionID)
	}
	e.lost(x.finish(e.rpc.Encode(tools.RequestID(ctx), answer), status))
	return !failed
}

// statusOf returns the HTTP status for a JSON-RPC error (MCP 2026-07-28,
// basic/transports/streamable-http).
func statusOf(code int) int {
	switch code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.HEADER_MISMATCH, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, mcp.UNSUPPORTED_PROTOCOL_VERSION,
		mcp.INVALID_REQUEST, mcp.INVALID_PARAMS, mcp.PARSE_ERROR:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// listen holds a stream open for messages outside of any request. The latest stream
// of a session counts, because a client whose connection broke opens a new one
// before the server notices.
func (e *Endpoint) listen(w http.ResponseWriter, r *http.Request) {
	caller, _ := identity.CallerFrom(r.Context())
	s, ok := e.session(w, r, caller.ID)
	if !ok {
		return
	}
	defer e.sessions.release(s)
	ctx, end := s.listening(r.Context())
	defer end()
	x := newExchange(w, r)
	defer x.end()
	stream := s.forRequest()
	stream.id += " listens " + strconv.FormatInt(e.requests.Add(1), 10)
	stream.answerOn(x, nil)
	defer stream.Close()
	if err := e.rpc.MCP.RegisterSession(ctx, stream); err != nil {
		panic(fmt.Sprintf("two streams with one number: %v", err))
	}
	defer e.rpc.MCP.UnregisterSession(context.WithoutCancel(ctx), stream.id)
	x.open()
	<-ctx.Done()
}

func (e *Endpoint) endSession(w http.ResponseWriter, r *http.Request) {
	caller, _ := identity.CallerFrom(r.Context())
	s, ok := e.session(w, r, caller.ID)
	if !ok {
		return
	}
	e.sessions.end(s)
	w.WriteHeader(http.StatusOK)
}

func (e *Endpoint) lost(err error) {
	if err != nil {
		e.rpc.Log.Debug("an answer could not be sent", "cause", err)
	}
}
