package server

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxUnsent bounds the notifications of one request that wait to be sent.
const maxUnsent = 256

// sessionPatience is how long a client should wait before it asks for a session
// again that there was no room for.
const sessionPatience = 5 * time.Second

// endpoint is streamable HTTP in both of its forms: with sessions, as up to
// protocol 2025-11-25, and without, as from 2026-07-28. Each request tells which
// it is.
//
// It takes the place of the library's own transport, which loses notifications
// that are sent right before an answer, opens streams for sessions that nobody
// opened, and finds requests to cancel by numbers that users share.
type endpoint struct {
	server   *Server
	sessions *sessions
	requests atomic.Int64
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// mergeVersions makes one version of the protocol of one that the header names
// several times, on lines of its own or in a list: something between client and
// server has added what the client sent already. Different versions stay, and are
// refused.
func mergeVersions(header http.Header) {
	lines := header.Values(mcp.HeaderProtocolVersion)
	if len(lines) == 0 {
		return
	}
	named := strings.Split(strings.Join(lines, ","), ",")
	first := strings.TrimSpace(named[0])
	if !slices.ContainsFunc(named, func(version string) bool { return strings.TrimSpace(version) != first }) {
		header.Set(mcp.HeaderProtocolVersion, first)
	}
}

// speaks refuses versions of the protocol that nobody knows. Clients of
// 2025-03-26 and before name none.
func (e *endpoint) speaks(w http.ResponseWriter, r *http.Request) bool {
	versions := r.Header.Values(mcp.HeaderProtocolVersion)
	if len(versions) == 0 || len(versions) == 1 && mcp.IsValidProtocolVersion(versions[0]) {
		return true
	}
	edge.WriteProblem(w, http.StatusBadRequest, "unsupported_version", "this server does not speak the version of the protocol that "+mcp.HeaderProtocolVersion+" names; it speaks "+supportedVersions())
	return false
}

// supportedVersions lists the versions of the protocol that this server speaks.
func supportedVersions() string { return strings.Join(mcp.ValidProtocolVersions, ", ") }

func (e *endpoint) post(w http.ResponseWriter, r *http.Request) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		edge.WriteProblem(w, http.StatusUnsupportedMediaType, "unsupported_media_type", "send the message as application/json")
		return
	}
	m, bad := messageOf(r)
	if bad != nil {
		edge.NoteReason(w, refusedBadMessage, "")
		e.lost(writeMessage(w, http.StatusBadRequest, bad.answer()))
		return
	}
	initializing := m.Method == string(mcp.MethodInitialize) && m.isRequest()
	// A client that greets speaks a version that has sessions, whatever its header
	// asks for: the answer names the version.
	if mcp.IsModernProtocol(m.metaVersion) || !initializing && mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) {
		e.postStateless(w, r, m)
		return
	}
	if !initializing && !e.speaks(w, r) {
		return
	}
	e.postInSession(w, r, m, initializing)
}

// postStateless handles a message of protocol 2026-07-28.
func (e *endpoint) postStateless(w http.ResponseWriter, r *http.Request, m *message) {
	switch {
	case m.isAnswer():
		edge.NoteReason(w, refusedBadMessage, "")
		e.lost(writeMessage(w, http.StatusBadRequest, errorResponse(m.ID, mcp.INVALID_REQUEST,
			"this version of the protocol has no questions that are answered by a message of their own; call again with inputResponses")))
		return
	case !m.isRequest():
		// A client cancels by closing the connection. A message would find
		// whichever request of whichever user has the same number.
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if refusal := e.checkHeaders(r, m); refusal != nil {
		edge.NoteReason(w, reasonForHeaders(refusal), "")
		e.lost(writeMessage(w, http.StatusBadRequest, refusal))
		return
	}
	session := &requestSession{id: "request " + strconv.FormatInt(e.requests.Add(1), 10), clientState: newClientState()}
	e.exchange(w, r, m, session)
}

// reasonForHeaders names why checkHeaders refuses a request.
func reasonForHeaders(refusal mcp.JSONRPCMessage) edge.Reason {
	if failure, ok := refusal.(mcp.JSONRPCError); ok && failure.Error.Code == mcp.UNSUPPORTED_PROTOCOL_VERSION {
		return "unsupported_version"
	}
	return refusedHeaders
}

// postInSession handles a message of a protocol before 2026-07-28.
func (e *endpoint) postInSession(w http.ResponseWriter, r *http.Request, m *message, initializing bool) {
	caller, _ := callerFrom(r.Context())
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
	case m.isAnswer():
		if !s.questions.resolve(m) {
			edge.WriteProblem(w, http.StatusBadRequest, "unknown_question", "nobody waits for an answer with this id")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	case m.isRequest():
		e.exchange(w, r, m, s.forRequest())
	case m.Method == string(mcp.MethodNotificationCancelled):
		s.inFlight.cancel(m.Params)
		w.WriteHeader(http.StatusAccepted)
	default:
		e.server.answer(e.server.mcp.WithContext(r.Context(), s.forRequest()), r.Header, m)
		w.WriteHeader(http.StatusAccepted)
	}
}

// refuseSession answers that there is no room for a session.
func (e *endpoint) refuseSession(w http.ResponseWriter, err error) {
	if errors.Is(err, errCallerSessions) {
		e.server.metrics.Refused("user")
		edge.RefuseForNow(w, sessionPatience, fmt.Sprintf("%d sessions of your user are open, and each has a request that is not answered yet; end one, or wait", maxSessionsPerCaller))
		return
	}
	e.server.metrics.Refused("sessions")
	w.Header().Set("Retry-After", edge.Seconds(sessionPatience))
	edge.WriteProblem(w, http.StatusServiceUnavailable, "busy",
		"as many sessions are open as this server can hold, and all are in use; try again in a moment, or speak protocol "+mcp.ProtocolVersion20260728+", which needs none")
}

// session finds the session that a request names, in use until it is released,
// or answers that there is none.
func (e *endpoint) session(w http.ResponseWriter, r *http.Request, callerID string) (*session, bool) {
	named := r.Header.Values(mcp.HeaderSessionID)
	if len(named) != 1 || named[0] == "" {
		edge.WriteProblem(w, http.StatusBadRequest, "missing_session",
			"start a session with initialize and send its "+mcp.HeaderSessionID+", or speak protocol "+mcp.ProtocolVersion20260728)
		return nil, false
	}
	s := e.sessions.use(named[0], callerID)
	if s == nil {
		edge.WriteProblem(w, http.StatusNotFound, "unknown_session", "there is no such session; start one with initialize")
		return nil, false
	}
	return s, true
}

// exchange has a request answered, and reports whether the answer was a result.
func (e *endpoint) exchange(w http.ResponseWriter, r *http.Request, m *message, session *requestSession) (succeeded bool) {
	x := newExchange(w, r)
	defer x.end()
	session.answerOn(x, m)
	defer session.close()
	ctx := r.Context()
	if m.Method == string(mcp.MethodSubscriptionsListen) && session.questions == nil {
		// It is the stateless protocol's alone: the requests of a session share its
		// number, and could not be registered side by side. What the server tells everybody reaches the sessions that it knows of.
		if err := e.server.mcp.RegisterSession(ctx, session); err != nil {
			panic(fmt.Sprintf("two requests with one number: %v", err))
		}
		defer e.server.mcp.UnregisterSession(context.WithoutCancel(ctx), session.id)
	}
	working, done := session.inFlight.begin(ctx, m.ID)
	defer done()
	answer := e.server.answer(e.server.mcp.WithContext(working, session), r.Header, m)
	if ctx.Err() != nil {
		return false // nobody is there to read it
	}
	session.flush(ctx)
	status := http.StatusOK
	failure, failed := answer.(mcp.JSONRPCError)
	if failed && mcp.IsModernProtocol(m.metaVersion) {
		status = statusOf(failure.Error.Code)
	}
	if failed && m.Method == string(mcp.MethodInitialize) {
		w.Header().Del(mcp.HeaderSessionID)
	}
	e.lost(x.finish(e.server.encode(tools.RequestID(ctx), answer), status))
	return !failed
}

// statusOf is the HTTP status that belongs to a JSON-RPC error (MCP 2026-07-28,
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

// listen holds a stream open for what the server has to tell outside of any
// request. The latest stream of a session is the one that counts: a client
// whose connection broke opens a new one before the server hears of it.
func (e *endpoint) listen(w http.ResponseWriter, r *http.Request) {
	caller, _ := callerFrom(r.Context())
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
	defer stream.close()
	if err := e.server.mcp.RegisterSession(ctx, stream); err != nil {
		panic(fmt.Sprintf("two streams with one number: %v", err))
	}
	defer e.server.mcp.UnregisterSession(context.WithoutCancel(ctx), stream.id)
	x.open()
	<-ctx.Done()
}

func (e *endpoint) endSession(w http.ResponseWriter, r *http.Request) {
	caller, _ := callerFrom(r.Context())
	s, ok := e.session(w, r, caller.ID)
	if !ok {
		return
	}
	e.sessions.end(s)
	w.WriteHeader(http.StatusOK)
}

func (e *endpoint) lost(err error) {
	if err != nil {
		e.server.log.Debug("an answer could not be sent", "cause", err)
	}
}
