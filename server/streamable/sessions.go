package streamable

import (
	"bytes"
	"container/list"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
)

// Limits of the sessions that are open.
const (
	maxSessions          = 10_000
	maxSessionsPerCaller = 100
)

// sessions are those of clients of protocols before 2026-07-28. Each belongs to the
// caller who opened it. For other callers it does not exist.
type sessions struct {
	max       int
	perCaller int
	idle      time.Duration
	now       func() time.Time

	// gauge counts those that are open, together with those of other tables.
	gauge *atomic.Int64

	mu     sync.Mutex
	open   map[string]*session
	byAge  *list.List     // of *session, the one that was silent for longest first
	counts map[string]int // by caller
	sweep  *time.Timer
}

// session is what is kept of a client between its requests.
type session struct {
	id       string
	callerID string
	client   *rpc.ClientState
	// questions end with the session.
	questions *rpc.Questions
	inFlight  *rpc.InFlight
	alive     context.Context
	kill      context.CancelFunc

	mu           sync.Mutex
	endListening context.CancelFunc // of the stream that is open, if any

	// The table's, under its lock.
	lastSeen time.Time
	inUse    int
	place    *list.Element
}

func newSessions(maxOpen, perCaller int, idle time.Duration, now func() time.Time, gauge *atomic.Int64) *sessions {
	return &sessions{
		max: maxOpen, perCaller: perCaller, idle: idle, now: now, gauge: gauge,
		open: map[string]*session{}, byAge: list.New(), counts: map[string]int{},
	}
}

// Why a session cannot be opened: no other can make room.
var (
	errCallerSessions = errors.New("all sessions of the caller are in use")
	errAllSessions    = errors.New("all sessions are in use")
)

// start opens a session for a caller, in use until it is released. Where there
// are too many, one that is not in use makes room: of the same caller, if that
// caller has too many, or else of the caller who has the most. Of these it is the
// one that was silent for longest.
func (s *sessions) start(callerID string) (*session, error) {
	alive, kill := context.WithCancel(context.Background())
	opened := &session{
		id: rand.Text(), callerID: callerID, client: rpc.NewClientState(), questions: rpc.NewQuestions(), inFlight: rpc.NewInFlight(),
		alive: alive, kill: kill, lastSeen: s.now(), inUse: 1,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[callerID] >= s.perCaller {
		if !s.makeRoom(callerID) {
			kill()
			return nil, errCallerSessions
		}
	} else if len(s.open) >= s.max && !s.makeRoom("") {
		kill()
		return nil, errAllSessions
	}
	s.open[opened.id] = opened
	s.counts[callerID]++
	s.gauge.Add(1)
	opened.place = s.byAge.PushBack(opened)
	s.planSweep()
	return opened, nil
}

// makeRoom ends a session of callerID or, for "", of the caller who has the most,
// and reports whether there was one that is not in use.
func (s *sessions) makeRoom(callerID string) bool {
	var gone *session
	for place := s.byAge.Front(); place != nil; place = place.Next() {
		candidate, _ := place.Value.(*session)
		if candidate.busy() || callerID != "" && candidate.callerID != callerID {
			continue
		}
		if gone == nil || s.counts[candidate.callerID] > s.counts[gone.callerID] {
			gone = candidate
		}
		if callerID != "" {
			break
		}
	}
	if gone == nil {
		return false
	}
	s.remove(gone)
	return true
}

// busy reports whether a session is in use, or waits for an answer.
func (s *session) busy() bool { return s.inUse > 0 || s.questions.Waiting() }

func (s *sessions) remove(gone *session) {
	if s.open[gone.id] != gone {
		return
	}
	delete(s.open, gone.id)
	s.gauge.Add(-1)
	s.byAge.Remove(gone.place)
	if s.counts[gone.callerID]--; s.counts[gone.callerID] == 0 {
		delete(s.counts, gone.callerID)
	}
	gone.kill()
	gone.questions.HangUp()
}

// planSweep has silent sessions removed when their time has come, for as long as
// there are any.
func (s *sessions) planSweep() {
	if s.sweep == nil && len(s.open) > 0 {
		s.sweep = time.AfterFunc(max(s.idle/10, time.Millisecond), s.removeSilent)
	}
}

func (s *sessions) removeSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep = nil
	now := s.now()
	for place := s.byAge.Front(); place != nil; {
		candidate, _ := place.Value.(*session)
		if now.Sub(candidate.lastSeen) <= s.idle {
			break
		}
		place = place.Next()
		if !candidate.busy() {
			s.remove(candidate)
		}
	}
	s.planSweep()
}

// use returns the session if it is the caller's, and nil if there is none. It is
// not swept until it is released.
func (s *sessions) use(id, callerID string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.open[id]
	if found == nil || found.callerID != callerID || found.inUse == 0 && s.now().Sub(found.lastSeen) > s.idle {
		return nil
	}
	s.touch(found)
	found.inUse++
	return found
}

func (s *sessions) release(used *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used.inUse--
	if s.open[used.id] == used {
		s.touch(used)
	}
}

func (s *sessions) touch(seen *session) {
	seen.lastSeen = s.now()
	s.byAge.MoveToBack(seen.place)
}

// end ends a session and all that waits in it.
func (s *sessions) end(ended *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(ended)
}

// forRequest returns the session as one request sees it.
func (s *session) forRequest() *requestSession {
	return &requestSession{id: s.id, ClientState: s.client, questions: s.questions, inFlight: s.inFlight}
}

// listening returns the context of a stream of the session's: it ends with the
// session, and when another stream takes its place.
func (s *session) listening(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := endedBy(ctx, s.alive)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endListening != nil {
		s.endListening()
	}
	s.endListening = end
	return ctx, end
}

// requestSession is what the library sees as the client for the time of one HTTP
// request: its notifications and questions go out on that request's own answer.
type requestSession struct {
	*rpc.ClientState
	*rpc.Outbox
	id string
	// questions are those of the session. Nil: the protocol has none.
	questions *rpc.Questions
	// inFlight are those of the session. Nil: a request ends with its connection
	// alone.
	inFlight *rpc.InFlight
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

// answerOn sends everything on x. m is the request that x answers, nil for a stream
// that answers none.
func (s *requestSession) answerOn(x *exchange, m *rpc.Message) {
	s.exchange = x
	// A call that goes on must not hold the message that it came with.
	var subscription json.RawMessage
	if m != nil && m.Method == string(mcp.MethodSubscriptionsListen) {
		subscription = bytes.Clone(m.ID)
	}
	s.Outbox = rpc.NewOutbox(maxUnsent, func(n mcp.JSONRPCNotification) {
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
	return s.questions.AskPerson(ctx, s.exchange.send, request)
}

// Gone implements tools.Leaving: it ends with the session. A client of a protocol
// without sessions has no end.
func (s *requestSession) Gone() <-chan struct{} {
	if s.questions == nil {
		return nil
	}
	return s.questions.Gone()
}

// SetSubscriptionFilter keeps what the client subscribes to.
func (s *requestSession) SetSubscriptionFilter(filter mcp.SubscriptionFilter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscription = &filter
}

// SubscriptionFilter returns what the client subscribes to, and whether it said so.
func (s *requestSession) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscription == nil {
		return mcp.SubscriptionFilter{}, false
	}
	return *s.subscription, true
}
