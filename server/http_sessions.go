package server

import (
	"container/list"
	"context"
	"crypto/rand"
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

// start opens a session for a caller, in use until it is released. Where there
// are too many, the one that was silent for longest makes room: one of the same
// caller's if that caller has too many, so that nobody can push others out.
func (s *sessions) start(callerID string) *session {
	alive, kill := context.WithCancel(context.Background())
	opened := &session{
		id: rand.Text(), callerID: callerID, client: newClientState(), questions: newQuestions(), inFlight: newInFlight(),
		alive: alive, kill: kill, lastSeen: s.now(), inUse: 1,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.counts[callerID] >= s.perCaller:
		s.remove(s.oldest(callerID))
	case len(s.open) >= s.max:
		s.remove(s.oldest(""))
	}
	s.open[opened.id] = opened
	s.counts[callerID]++
	s.gauge.Add(1)
	opened.place = s.byAge.PushBack(opened)
	s.planSweep()
	return opened
}

// oldest is the session that was silent for longest, of callerID or, for "", of
// all.
func (s *sessions) oldest(callerID string) *session {
	for place := s.byAge.Front(); place != nil; place = place.Next() {
		if candidate, ok := place.Value.(*session); ok && (callerID == "" || candidate.callerID == callerID) {
			return candidate
		}
	}
	panic("there is no session to make room")
}

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
		if candidate.inUse == 0 {
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
