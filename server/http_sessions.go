package server

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// sessions are those of clients of protocols before 2026-07-28. Each belongs to
// the caller who opened it; for anybody else it does not exist.
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
	client   *clientState
	// questions end with the session.
	questions *questions
	inFlight  *inFlight
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

// Why a session cannot be opened: none of those that count can make room.
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
		id: rand.Text(), callerID: callerID, client: newClientState(), questions: newQuestions(), inFlight: newInFlight(),
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
func (s *session) busy() bool { return s.inUse > 0 || s.questions.waiting() }

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
	gone.questions.hangUp()
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

// forRequest is the session as one request sees it.
func (s *session) forRequest() *requestSession {
	return &requestSession{id: s.id, clientState: s.client, questions: s.questions, inFlight: s.inFlight}
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
