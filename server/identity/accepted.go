package identity

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// acceptedTokens remembers which callers' tokens the API accepted, when, and whose
// they are. The one that was not asked for longest makes room for another.
type acceptedTokens struct {
	mu     sync.Mutex
	tokens *simplelru.LRU[string, acceptedToken] // by caller
}

type acceptedToken struct {
	at time.Time
	// user is the id of the user, empty if it is not known.
	user string
	// askUser is when to ask for the user again.
	askUser time.Time
}

// newAcceptedTokens takes all of its memory at once, so that it is the same for one
// user and for ten thousand. It is filled with ids that no caller has.
func newAcceptedTokens(size int) *acceptedTokens {
	tokens, err := simplelru.NewLRU[string, acceptedToken](size, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	for i := range size {
		tokens.Add(fmt.Sprintf(".%021d", i), acceptedToken{})
	}
	return &acceptedTokens{tokens: tokens}
}

// within reports whether the token of a caller was accepted no longer than d ago.
func (a *acceptedTokens) within(id string, d time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	token, known := a.tokens.Get(id)
	return known && time.Since(token.at) < d
}

// has reports whether the token of a caller was accepted the last time that the
// API was asked about it, however long ago.
func (a *acceptedTokens) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tokens.Contains(id)
}

// add notes that the API accepted the token of a caller.
func (a *acceptedTokens) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	token, _ := a.tokens.Peek(id)
	token.at = time.Now()
	a.tokens.Add(id, token)
}

// doubt has the API asked about the token of a caller at its next request.
func (a *acceptedTokens) doubt(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token, known := a.tokens.Peek(id); known {
		token.at = time.Time{}
		a.tokens.Add(id, token)
	}
}

// remove notes that the API refused the token of a caller.
func (a *acceptedTokens) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens.Remove(id)
}

// userOf returns the user of a caller, empty if not known, and whether it is time
// to ask for it.
func (a *acceptedTokens) userOf(id string) (user string, ask bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	token, known := a.tokens.Get(id)
	if !known {
		return "", true
	}
	return token.user, token.user == "" && !time.Now().Before(token.askUser)
}

// setUser notes the user of a caller or, if it is empty, when to ask again.
func (a *acceptedTokens) setUser(id, user string, askAgain time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token, known := a.tokens.Peek(id); known {
		token.user, token.askUser = user, askAgain
		a.tokens.Add(id, token)
	}
}
