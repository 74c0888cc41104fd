package server

import (
	"errors"
	"math"
	"runtime/debug"
	"sync"
)

// Bounds of the bodies that the process holds at once, in bytes.
const (
	// maxBodyBytes is the budget where no memory limit is known.
	maxBodyBytes = 64 << 20
	// minBodyBytes is the smallest budget.
	minBodyBytes = 8 << 20
	// memoryPerBodyByte is how much of the memory limit stands behind a byte of a
	// body: what is made of it while it is worked on, and everything else.
	memoryPerBodyByte = 16
	// maxCallerBytes bounds what the large bodies of one caller take.
	maxCallerBytes = 16 << 20
	// maxUnprovenBody is how much is read for a token that the API has not
	// accepted lately.
	maxUnprovenBody = 16 << 10
)

// bodyBytes returns the budget for all bodies, which follows from the memory
// limit of the process.
func bodyBytes() int {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return maxBodyBytes
	}
	return int(min(max(limit/memoryPerBodyByte, minBodyBytes), maxBodyBytes))
}

var (
	// errBudgetFull means that all bodies together take too much.
	errBudgetFull = errors.New("there is no room for the body")
	// errCallerFull means that those of one caller do.
	errCallerFull = errors.New("the caller's bodies take too much")
)

// bodyBudget is the bytes that all bodies may take at once. Nobody can take all
// of it: tokens that are not proven share an eighth, the large bodies of one
// caller have at most a quarter, and those of all leave a quarter to small ones.
type bodyBudget struct {
	total int

	mu       sync.Mutex
	used     int
	unproven int
	of       map[string]int // by proven caller
}

func newBodyBudget(total int) *bodyBudget {
	return &bodyBudget{total: total, of: map[string]int{}}
}

// share is what one body takes of a budget. It belongs to one goroutine.
type share struct {
	budget *bodyBudget
	// caller is empty while the token is not proven.
	caller string
	taken  int
}

// open returns a share with nothing in it.
func (b *bodyBudget) open() *share { return &share{budget: b} }

// grow takes as much as is missing to size bytes. It returns errBudgetFull or
// errCallerFull if there is no room, and takes nothing then.
func (s *share) grow(size int) error {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	more, large := size-s.taken, size > maxUnprovenBody
	switch {
	case more <= 0:
		return nil
	case large && b.of[s.caller]+more > min(b.total/4, maxCallerBytes):
		return errCallerFull
	case b.used+more > b.total, large && b.used+more > b.total-b.total/4, s.caller == "" && b.unproven+more > b.total/8:
		return errBudgetFull
	}
	s.count(more)
	return nil
}

func (s *share) count(more int) {
	b := s.budget
	b.used += more
	s.taken += more
	if s.caller == "" {
		b.unproven += more
	} else if b.of[s.caller] += more; b.of[s.caller] == 0 {
		delete(b.of, s.caller)
	}
}

// prove moves the share to a caller whose token is proven now.
func (s *share) prove(caller string) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	taken := s.taken
	s.count(-taken)
	s.caller = caller
	s.count(taken)
}

// release gives everything back.
func (s *share) release() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.count(-s.taken)
}
