package server

import (
	"hash/maphash"
	"sync"
	"time"
)

// acceptedTokens remembers which callers' tokens the API accepted, when, and whose
// they are. All of its memory is taken at the start, so that it is the same for
// one user and for ten thousand.
type acceptedTokens struct {
	seed  maphash.Seed
	start time.Time

	mu   sync.Mutex
	rows [][acceptedPerRow]acceptedToken
}

// acceptedPerRow is how many tokens share a row, in which the one that was
// accepted longest ago makes room. While half of all places are taken, no more
// than one row in fifty has to forget a token.
const acceptedPerRow = 8

type acceptedToken struct {
	id      [callerIDLength]byte // zero: nothing
	after   time.Duration        // since the start
	user    [callerIDLength]byte // zero: not known
	askUser time.Duration        // since the start: not before then
}

// newAcceptedTokens has room for size tokens, rounded up to whole rows.
func newAcceptedTokens(size int) *acceptedTokens {
	return &acceptedTokens{
		seed:  maphash.MakeSeed(),
		start: time.Now(),
		rows:  make([][acceptedPerRow]acceptedToken, (size+acceptedPerRow-1)/acceptedPerRow),
	}
}

// within reports whether the token of the caller id was accepted no longer than
// d ago.
func (a *acceptedTokens) within(id string, d time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	token := a.find(id)
	return token != nil && time.Since(a.start)-token.after < d
}

// has reports whether the token of the caller id was accepted the last time that
// the API was asked about it, however long ago.
func (a *acceptedTokens) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.find(id) != nil
}

// userOf returns what was set with setUser for the caller id, or "" and whether it
// is time to ask for it.
func (a *acceptedTokens) userOf(id string) (user string, ask bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	token := a.find(id)
	switch {
	case token == nil:
		return "", true
	case token.user == [callerIDLength]byte{}:
		return "", time.Since(a.start) >= token.askUser
	}
	return string(token.user[:]), false
}

// askUserLater has userOf wait before it is time to ask for the caller id again.
func (a *acceptedTokens) askUserLater(id string, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token := a.find(id); token != nil {
		token.askUser = time.Since(a.start) + wait
	}
}

// setUser notes whose the token of the caller id is, by an id of the same form.
func (a *acceptedTokens) setUser(id, user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token := a.find(id); token != nil {
		copy(token.user[:], user)
	}
}

func (a *acceptedTokens) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	token := a.find(id)
	if token == nil {
		token = a.room(id)
		*token = acceptedToken{}
		copy(token.id[:], id)
	}
	token.after = time.Since(a.start)
}

func (a *acceptedTokens) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token := a.find(id); token != nil {
		*token = acceptedToken{}
	}
}

func (a *acceptedTokens) find(id string) *acceptedToken {
	row := a.row(id)
	for i := range row {
		if string(row[i].id[:]) == id {
			return &row[i]
		}
	}
	return nil
}

// room is an empty place in the row of the caller id, or the oldest.
func (a *acceptedTokens) room(id string) *acceptedToken {
	row := a.row(id)
	oldest := &row[0]
	for i := range row {
		if row[i] == (acceptedToken{}) {
			return &row[i]
		}
		if row[i].after < oldest.after {
			oldest = &row[i]
		}
	}
	return oldest
}

func (a *acceptedTokens) row(id string) *[acceptedPerRow]acceptedToken {
	return &a.rows[maphash.String(a.seed, id)%uint64(len(a.rows))]
}
