package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// sessions are those of clients of protocols before 2026-07-28. Each belongs to
// the caller who opened it; for anybody else it does not exist.
type sessions struct {
	max  int
	idle time.Duration

	mu   sync.Mutex
	open map[string]*session
}

type session struct {
	callerID string
	lastSeen time.Time
}

func newSessions(maxOpen int, idle time.Duration) *sessions {
	return &sessions{max: maxOpen, idle: idle, open: map[string]*session{}}
}

var errUnknownSession = errors.New("there is no such session")

// start opens a session for a caller. Where there are too many, the one that
// was silent for longest makes room.
func (s *sessions) start(callerID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.open) >= s.max {
		s.makeRoom(now)
	}
	id := rand.Text()
	s.open[id] = &session{callerID: callerID, lastSeen: now}
	return id
}

func (s *sessions) makeRoom(now time.Time) {
	oldest := ""
	for id, session := range s.open {
		if now.Sub(session.lastSeen) > s.idle {
			delete(s.open, id)
		} else if oldest == "" || session.lastSeen.Before(s.open[oldest].lastSeen) {
			oldest = id
		}
	}
	if len(s.open) >= s.max {
		delete(s.open, oldest)
	}
}

func (s *sessions) check(id, callerID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.open[id]
	if session == nil || session.callerID != callerID || time.Since(session.lastSeen) > s.idle {
		return errUnknownSession
	}
	session.lastSeen = time.Now()
	return nil
}

func (s *sessions) end(id, callerID string) error {
	if err := s.check(id, callerID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
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
	return false, c.sessions.check(id, c.callerID)
}

func (c callerSessions) Terminate(id string) (isNotAllowed bool, err error) {
	return false, c.sessions.end(id, c.callerID)
}

// guardSessions refuses an unknown session, and one of somebody else, where the
// library does not look: on the methods GET and DELETE.
func guardSessions(s *sessions, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		legacy := !mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
		if legacy && (r.Method == http.MethodGet || r.Method == http.MethodDelete) {
			caller, _ := callerFrom(r.Context())
			if s.check(r.Header.Get(server.HeaderKeySessionID), caller.ID) != nil {
				writeProblem(w, http.StatusNotFound, "unknown_session", "there is no such session; start one with initialize")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
