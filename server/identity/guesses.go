package identity

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// guessLimit is how many tokens that the API refuses may come from one address:
// 30 at once, then one in two seconds.
var guessLimit = ratelimit.Limit{Burst: 30, Interval: 2 * time.Second}

const guessAdvice = "your network address sent too many tokens that do not work; wait for the time in Retry-After, " +
	"and then send one that does"

// Limits of the tokens from one address about which the API is asked for the first
// time.
const (
	// askedAtOnce is how many are checked at once. So many more than guessLimit may
	// be tried.
	askedAtOnce = 16
	// maxInLine is how many requests may be checked or wait for that.
	maxInLine = 256
)

// guesses counts the tokens that the API refused, by the address that they came
// from. Once there are too many, the API is not asked about new tokens from that
// address. A token that the API accepted the last time is not delayed by others at
// the same address. Nil counts nothing.
type guesses struct {
	refused *ratelimit.Table
	metrics edge.Metrics

	mu    sync.Mutex
	lines map[string]*line // by address
}

// line is the requests from one address whose tokens are checked or wait for that.
type line struct {
	length int
	places chan struct{}
}

func newGuesses(metrics edge.Metrics) *guesses {
	return &guesses{refused: ratelimit.NewTable(edge.MaxBuckets), metrics: metrics, lines: map[string]*line{}}
}

// enter waits until the API may be asked about one more new token from a network.
// leave must be called when it has answered. A wait above 0 means that the API may
// not be asked before that time is over.
func (g *guesses) enter(ctx context.Context, from string) (leave func(), wait time.Duration) {
	if g == nil {
		return func() {}, 0
	}
	if wait := g.wait(from); wait > 0 {
		return nil, wait
	}
	l := g.join(from)
	if l == nil {
		return nil, time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		g.part(from, l)
		return nil, time.Second
	}
	leave = func() { <-l.places; g.part(from, l) }
	// Those before in the line may have been guesses.
	if wait := g.wait(from); wait > 0 {
		leave()
		return nil, wait
	}
	return leave, 0
}

// join returns the line of a network with one more in it, or nil if it is full.
func (g *guesses) join(from string) *line {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[from]
	if l == nil {
		l = &line{places: make(chan struct{}, askedAtOnce)}
		g.lines[from] = l
	}
	if l.length >= maxInLine {
		return nil
	}
	l.length++
	return l
}

func (g *guesses) part(from string, l *line) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.length--; l.length == 0 {
		delete(g.lines, from)
	}
}

// wait returns how long new tokens from a network have to wait.
func (g *guesses) wait(from string) time.Duration { return g.refused.Look(from, guessLimit).Wait }

// holdBack answers that a token has to wait.
func (g *guesses) holdBack(w http.ResponseWriter, wait time.Duration) {
	g.metrics.Refused("failures")
	edge.RefuseForNow(w, wait, guessAdvice)
}

// count notes that the API refused a token that came from a network.
func (g *guesses) count(from string) {
	if g != nil {
		g.refused.Take(from, guessLimit)
	}
}
