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

	"github.com/kenbun/kenbun-mcp/tools"
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
	for id, callerID := range s.surplus(callerID) {
		s.drop(id, callerID)
	}
	alive, end := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.open[id] = &session{callerID: callerID, lastSeen: time.Now(), alive: alive, end: end}
	return id
}

// surplus returns the sessions that have to go before callerID can open one
// more, with their callers.
func (s *sessions) surplus(callerID string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	surplus := map[string]string{}
	if len(s.open) >= s.max || now.Sub(s.swept) > s.idle/10 {
		s.swept = now
		for id, session := range s.open {
			if now.Sub(session.lastSeen) > s.idle {
				surplus[id] = session.callerID
			}
		}
	}
	var oldest, oldestOwn string
	own := 0
	for id, session := range s.open {
		if _, gone := surplus[id]; gone {
			continue
		}
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
		surplus[oldestOwn] = callerID
	case len(s.open)-len(surplus) >= s.max:
		surplus[oldest] = s.open[oldest].callerID
	}
	return surplus
}

// endWith has library forget the sessions that are dropped.
func (s *sessions) endWith(library http.Handler) { s.library = library }

// drop ends a session in the way in which its own client would: it is the only
// one by which the library forgets everything about it.
func (s *sessions) drop(id, callerID string) {
	ctx := withCaller(context.Background(), tools.Caller{ID: callerID})
	request := (&http.Request{
		Method: http.MethodDelete,
		URL:    &url.URL{Path: MCPPath},
		Header: http.Header{server.HeaderKeySessionID: {id}},
	}).WithContext(ctx)
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
	delete(s.open, id)
	session.end()
	return nil
}

// ResolveSessionIdManager gives the library the sessions as the request's
// caller sees them.
//
//nolint:revive // the name is the library's
func (s *sessions) ResolveSessionIdManager(r *http.Request) server.SessionIdManager {
	ctx := context.Background()
	if r != nil {
		ctx = r.Context()
	}
	caller, _ := callerFrom(ctx)
	return callerSessions{s, caller.ID}
}

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
