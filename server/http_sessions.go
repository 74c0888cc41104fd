package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// sessions are those of clients of protocols before 2026-07-28. Each belongs to
// the caller who opened it; for anybody else it does not exist.
type sessions struct {
	max       int
	perCaller int
	idle      time.Duration
	library   http.Handler

	mu    sync.Mutex
	open  map[string]*session
	swept time.Time
}

type session struct {
	callerID string
	lastSeen time.Time
	// alive ends with the session.
	alive context.Context
	end   context.CancelFunc
}

func newSessions(maxOpen, perCaller int, idle time.Duration) *sessions {
	return &sessions{max: maxOpen, perCaller: perCaller, idle: idle, open: map[string]*session{}, swept: time.Now()}
}

var errUnknownSession = errors.New("there is no such session")

// start opens a session for a caller. Where there are too many, the one that
// was silent for longest makes room: one of the same caller's if that caller
// has too many, so that nobody can push others out.
func (s *sessions) start(callerID string) string {
	id := rand.Text()
	alive, end := context.WithCancel(context.Background())
	s.mu.Lock()
	now := time.Now()
	gone := s.sweep(now)
	gone = append(gone, s.makeRoom(callerID)...)
	s.open[id] = &session{callerID: callerID, lastSeen: now, alive: alive, end: end}
	s.mu.Unlock()
	for _, id := range gone {
		s.forget(id)
	}
	return id
}

// sweep removes the sessions that were silent for too long, every now and then,
// and returns their ids.
func (s *sessions) sweep(now time.Time) (gone []string) {
	if len(s.open) < s.max && now.Sub(s.swept) < s.idle/10 {
		return nil
	}
	s.swept = now
	for id, session := range s.open {
		if now.Sub(session.lastSeen) > s.idle {
			gone = append(gone, id)
			s.remove(id)
		}
	}
	return gone
}

// makeRoom removes a session if callerID could not open one more without, and
// returns its id.
func (s *sessions) makeRoom(callerID string) (gone []string) {
	var oldest, oldestOwn string
	own := 0
	for id, session := range s.open {
		if oldest == "" || session.lastSeen.Before(s.open[oldest].lastSeen) {
			oldest = id
		}
		if session.callerID == callerID {
			own++
			if oldestOwn == "" || session.lastSeen.Before(s.open[oldestOwn].lastSeen) {
				oldestOwn = id
			}
		}
	}
	switch {
	case own >= s.perCaller:
		s.remove(oldestOwn)
		return []string{oldestOwn}
	case len(s.open) >= s.max:
		s.remove(oldest)
		return []string{oldest}
	}
	return nil
}

func (s *sessions) remove(id string) {
	s.open[id].end()
	delete(s.open, id)
}

// forgetBy has library forget the sessions that are gone.
func (s *sessions) forgetBy(library http.Handler) { s.library = library }

type forgetKey struct{}

// forget has the library drop what it keeps of a session, in the one way that
// it offers: as if the client had ended it.
func (s *sessions) forget(id string) {
	request := (&http.Request{
		Method: http.MethodDelete,
		URL:    &url.URL{Path: MCPPath},
		Header: http.Header{server.HeaderKeySessionID: {id}},
	}).WithContext(context.WithValue(context.Background(), forgetKey{}, true))
	s.library.ServeHTTP(discardedAnswer{}, request)
}

func (s *sessions) check(id, callerID string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.open[id]
	if session == nil || session.callerID != callerID || time.Since(session.lastSeen) > s.idle {
		return nil, errUnknownSession
	}
	session.lastSeen = time.Now()
	return session, nil
}

func (s *sessions) end(id, callerID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.open[id]
	if session == nil || session.callerID != callerID {
		return errUnknownSession
	}
	s.remove(id)
	return nil
}

// ResolveSessionIdManager gives the library the sessions as the request's
// caller sees them.
//
//nolint:revive,contextcheck // the name is the library's, and it may ask without a request
func (s *sessions) ResolveSessionIdManager(r *http.Request) server.SessionIdManager {
	ctx := context.Background()
	if r != nil {
		ctx = r.Context()
	}
	if ctx.Value(forgetKey{}) != nil {
		return goneSessions{}
	}
	caller, _ := callerFrom(ctx)
	return callerSessions{s, caller.ID}
}

// goneSessions is what the library is told of sessions that it has to forget.
type goneSessions struct{}

func (goneSessions) Generate() string               { return "" }
func (goneSessions) Validate(string) (bool, error)  { return true, nil }
func (goneSessions) Terminate(string) (bool, error) { return false, nil }

// callerSessions is the sessions of one caller.
type callerSessions struct {
	sessions *sessions
	callerID string
}

func (c callerSessions) Generate() string { return c.sessions.start(c.callerID) }

func (c callerSessions) Validate(id string) (isTerminated bool, err error) {
	_, err = c.sessions.check(id, c.callerID)
	return false, err
}

func (c callerSessions) Terminate(id string) (isNotAllowed bool, err error) {
	return false, c.sessions.end(id, c.callerID)
}

// guardSessions refuses an unknown session, and one of somebody else, where the
// library does not look: on the methods GET and DELETE. A stream that GET
// opened ends with its session.
func guardSessions(s *sessions, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		legacy := !mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
		if !legacy || (r.Method != http.MethodGet && r.Method != http.MethodDelete) {
			next.ServeHTTP(w, r)
			return
		}
		caller, _ := callerFrom(r.Context())
		session, err := s.check(r.Header.Get(server.HeaderKeySessionID), caller.ID)
		if err != nil {
			writeProblem(w, http.StatusNotFound, "unknown_session", "there is no such session; start one with initialize")
			return
		}
		if r.Method == http.MethodGet {
			ctx, end := endedBy(r.Context(), session.alive)
			defer end()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// discardedAnswer is the answer to a request that the server makes to itself.
type discardedAnswer struct{}

func (discardedAnswer) Header() http.Header         { return http.Header{} }
func (discardedAnswer) Write(p []byte) (int, error) { return len(p), nil }
func (discardedAnswer) WriteHeader(int)             {}
