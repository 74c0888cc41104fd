package edge

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
	// MaxUserBytes bounds what the large bodies of one user take.
	MaxUserBytes = 16 << 20
	// tokenBytes is how much the small bodies of a caller may take before the user is
	// looked up, so that those of all their tokens count together.
	tokenBytes = 64 << 10
	// smallBody is the largest body that counts as small.
	smallBody = 16 << 10
	// bodyOverhead is what a request takes beside its body.
	bodyOverhead = 4 << 10
)

// DefaultBodyBytes returns the budget for all bodies, in bytes. It follows from the
// memory limit of the process.
func DefaultBodyBytes() int {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return maxBodyBytes
	}
	return int(min(max(limit/memoryPerBodyByte, minBodyBytes), maxBodyBytes))
}

var (
	// errBudgetFull means that all bodies together take too much.
	errBudgetFull = errors.New("there is no room for the body")
	// errUserFull means that those of one user do.
	errUserFull = errors.New("the user's bodies take too much")
)

// BodyBudget bounds the bytes that all bodies take at once. Nobody can take all of
// it: the large bodies of one user get at most a quarter, all bodies of one user at
// most three eighths (and 64 KiB for each of their tokens), and the large ones of
// everybody leave a quarter to small ones.
type BodyBudget struct {
	total int

	mu   sync.Mutex
	used int
	of   map[string]held // by user
}

// held is what the bodies of one user take.
type held struct{ all, large int }

// NewBodyBudget returns a budget of total bytes.
func NewBodyBudget(total int) *BodyBudget {
	return &BodyBudget{total: total, of: map[string]held{}}
}

// share is the part of a budget that one body takes. It belongs to one goroutine.
type share struct {
	budget *BodyBudget
	user   string
	size   int // of the body, without the overhead
}

// open returns a share with nothing in it.
func (b *BodyBudget) open(user string) *share { return &share{budget: b, user: user} }

// cost is what a body of size bytes counts for.
func cost(size int) held {
	switch {
	case size == 0:
		return held{}
	case size <= smallBody:
		return held{all: size + bodyOverhead}
	default:
		return held{all: size + bodyOverhead, large: size}
	}
}

// grow takes as much as is missing to size bytes. It returns errBudgetFull or
// errUserFull if there is no room, and takes nothing then.
func (s *share) grow(size int) error {
	if size <= s.size {
		return nil
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	had, wanted, of := cost(s.size), cost(size), b.of[s.user]
	of = held{of.all + wanted.all - had.all, of.large + wanted.large - had.large}
	used := b.used + wanted.all - had.all
	large := min(b.total/4, MaxUserBytes)
	switch {
	case wanted.large > 0 && of.large > large, of.all > large+large/2:
		return errUserFull
	case used > b.total, wanted.large > 0 && used > b.total-b.total/4:
		return errBudgetFull
	}
	s.set(size)
	return nil
}

// set has the share hold a body of size bytes.
func (s *share) set(size int) {
	b := s.budget
	had, has := cost(s.size), cost(size)
	b.used += has.all - had.all
	of := b.of[s.user]
	of = held{of.all + has.all - had.all, of.large + has.large - had.large}
	if of == (held{}) {
		delete(b.of, s.user)
	} else {
		b.of[s.user] = of
	}
	s.size = size
}

// held is what the bodies take that count together with this one.
func (s *share) held() int {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return s.budget.of[s.user].all
}

// moveTo counts the share for a user from now on.
func (s *share) moveTo(user string) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	size := s.size
	s.set(0)
	s.user = user
	s.set(size)
}

// release gives everything back.
func (s *share) release() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.set(0)
}
