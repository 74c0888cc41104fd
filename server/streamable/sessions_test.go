package streamable

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

// testSessions is the table of sessions, seen from outside.
type testSessions struct{ *sessions }

func newTestSessions(maxOpen, perCaller int, idle time.Duration) testSessions {
	return testSessions{newSessions(maxOpen, perCaller, idle, time.Now, &atomic.Int64{})}
}

func (s testSessions) Start(callerID string) string {
	id, release := s.Use(callerID)
	release()
	return id
}

// Use opens a session that is in use until it is released. Its id is empty if
// there is no room.
func (s testSessions) Use(callerID string) (id string, release func()) {
	opened, err := s.start(callerID)
	if err != nil {
		return "", func() {}
	}
	return opened.id, func() { s.release(opened) }
}

func (s testSessions) Has(id, callerID string) bool {
	found := s.use(id, callerID)
	if found != nil {
		s.release(found)
	}
	return found != nil
}

func (s testSessions) Open() int { return int(s.gauge.Load()) }

func TestSessions_CappedForEachAndForAll(t *testing.T) {
	s := newTestSessions(10, 4, time.Hour)
	first := s.Start("ada")
	for i := range 5 {
		s.Start("ada")
		if open := s.Open(); open > 4 {
			t.Fatalf("ada has %d sessions after %d, want at most 4", open, i+2)
		}
	}
	if s.Has(first, "ada") {
		t.Error("the oldest session did not make room")
	}
	var latest []string
	for i := range 30 {
		latest = append(latest, s.Start(fmt.Sprint("user ", i)))
	}
	if s.Open() != 10 {
		t.Errorf("%d sessions are open, want 10", s.Open())
	}
	for i := 20; i < 30; i++ {
		if !s.Has(latest[i], fmt.Sprint("user ", i)) {
			t.Errorf("session %d is gone", i)
		}
	}
	// One who asks again and again harms nobody but himself.
	for range 100 {
		s.Start("user 29")
	}
	for i := 27; i < 29; i++ {
		if !s.Has(latest[i], fmt.Sprint("user ", i)) {
			t.Errorf("session %d was pushed out by another's", i)
		}
	}
}

// A session that is in use never makes room, and nobody loses one to a caller who
// has more.
func TestA26_SessionsInUseMakeNoRoom(t *testing.T) {
	s := newTestSessions(6, 3, time.Hour)
	idle := s.Start("ada")
	first, endFirst := s.Use("ada")
	second, endSecond := s.Use("ada")
	third, endThird := s.Use("ada") // in place of the idle one
	if s.Has(idle, "ada") || third == "" {
		t.Error("the session that was not in use did not make room")
	}
	if id, _ := s.Use("ada"); id != "" {
		t.Error("a session in use made room for another of its caller's")
	}
	ben := s.Start("ben")
	_, _ = s.Use("cleo")
	_, _ = s.Use("cleo")
	if !s.Has(ben, "ben") {
		t.Fatal("ben's session is gone before the table is full")
	}
	// Full: ada has three, all in use; ben's is the only one that is not.
	if id, _ := s.Use("dev"); id == "" || s.Has(ben, "ben") {
		t.Errorf("the only session that was not in use did not make room")
	}
	if id, _ := s.Use("eve"); id != "" {
		t.Error("a session in use made room")
	}
	endFirst()
	endSecond()
	// Of those that are not in use now, the silent one of the caller with the most goes.
	if id, _ := s.Use("eve"); id == "" || s.Has(first, "ada") || !s.Has(second, "ada") {
		t.Error("another session than the one that was silent for longest made room")
	}
	endThird()
}

// The caller with the most sessions makes room, however old those of others are.
func TestA26_TheCallerWithTheMostSessionsMakesRoom(t *testing.T) {
	s := newTestSessions(10, 8, time.Hour)
	oldest := s.Start("ada")
	ben := s.Start("ben")
	mallorys := []string{}
	for range 8 {
		mallorys = append(mallorys, s.Start("mallory"))
	}
	for i := range 3 {
		s.Start(fmt.Sprint("user ", i))
	}
	if !s.Has(oldest, "ada") || !s.Has(ben, "ben") {
		t.Error("a caller with one session lost it to those of others")
	}
	for i, id := range mallorys {
		if s.Has(id, "mallory") != (i >= 3) {
			t.Errorf("session %d of the caller with the most: %t", i, s.Has(id, "mallory"))
		}
	}
}

func TestSessions_SilentOnesAreSwept(t *testing.T) {
	const idle = 50 * time.Millisecond
	s := newTestSessions(1000, 1000, idle)
	first := s.Start("ada")
	for range 100 {
		s.Start("ada")
	}
	time.Sleep(2 * idle) // what a session is given
	if s.Has(first, "ada") {
		t.Error("a silent session is known")
	}
	for deadline := time.Now().Add(patience); s.Open() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are never swept", s.Open())
		}
		time.Sleep(idle / 10)
	}
}

func TestSessions_ManyAtOnce(t *testing.T) {
	s := newTestSessions(50, 10, time.Hour)
	var all sync.WaitGroup
	for user := range 16 {
		all.Go(func() {
			caller := fmt.Sprint("user ", user)
			for range 100 {
				id := s.Start(caller)
				s.Has(id, caller)
				if s.Has(id, "nobody") {
					t.Error("a session belongs to two")
				}
			}
		})
	}
	all.Wait()
	if s.Open() > 50 {
		t.Errorf("%d sessions are open", s.Open())
	}
}
