package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// guessLimit is how many tokens that the API refuses may come from one address:
// 30 at once, then one in two seconds.
var guessLimit = ratelimit.Limit{Burst: 30, Interval: 2 * time.Second}

const guessAdvice = "your network address sent too many tokens that do not work; wait as long as Retry-After says, " +
	"and then send one that does"

// Bounds of the tokens from one address about which the API is asked for the first
// time.
const (
	// askedAtOnce is how many questions are open at once. So many tokens more than
	// guessLimit may be tried.
	askedAtOnce = 16
	// maxInLine is how many requests may have a question open or wait for one.
	maxInLine = 256
)

// guesses counts the tokens that the API refused, by the address that they came
// from. Nobody who used too many can have the API asked about a new token. A
// token that the API accepted the last time is not held up by others at the same
// address. Nil: nobody counts.
type guesses struct {
	refused *ratelimit.Table
	metrics Metrics

	mu    sync.Mutex
	lines map[string]*line // by address
}

// line is the requests from one address that have a question open or wait for
// one.
type line struct {
	length int
	places chan struct{}
}

func newGuesses(metrics Metrics) *guesses {
	return &guesses{refused: ratelimit.NewTable(edge.MaxBuckets), metrics: metrics, lines: map[string]*line{}}
}

// enter waits until the API may be asked about one more new token from a network,
// and has leave called when it has answered. A wait above 0 means that it may not
// be asked before that time is over.
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
	// Those before in the line were guesses, perhaps.
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

// wait is how long new tokens from a network have to wait, 0 if they need not.
func (g *guesses) wait(from string) time.Duration { return g.refused.Look(from, guessLimit).Wait }

// holdBack answers that a token from a network has to wait.
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

// observed is the API as a caller sees it in one request. Tool calls are not
// verified beforehand; what the API says to them tells about the token all the
// same. Whatever else the caller of the API can do is left as it is.
type observed struct {
	*client.Caller
	// accepted and refused are called once at most each.
	accepted, refused func()
}

func observe(api *client.Caller, accepted, refused func()) observed {
	return observed{api, sync.OnceFunc(accepted), sync.OnceFunc(refused)}
}

func (o observed) note(err error) {
	switch {
	case client.AcceptsToken(err):
		o.accepted()
	case errors.Is(err, client.ErrUnauthenticated):
		o.refused()
	}
}

// Me may refuse a token that works elsewhere, and so may OrgUnits: their no says
// nothing.

func (o observed) Me(ctx context.Context) (*client.Me, error) {
	me, err := o.Caller.Me(ctx)
	if client.AcceptsToken(err) {
		o.accepted()
	}
	return me, err
}

func (o observed) OrgUnits(ctx context.Context) ([]client.OrgUnit, error) {
	units, err := o.Caller.OrgUnits(ctx)
	if client.AcceptsToken(err) {
		o.accepted()
	}
	return units, err
}

func (o observed) ListTokens(ctx context.Context) ([]client.Token, error) {
	listed, err := o.Caller.ListTokens(ctx)
	o.note(err)
	return listed, err
}

func (o observed) ReadTokens(ctx context.Context, begin func() func(*client.Token)) error {
	err := o.Caller.ReadTokens(ctx, begin)
	o.note(err)
	return err
}

func (o observed) CreateToken(ctx context.Context, token client.NewToken) (*client.CreatedToken, error) {
	created, err := o.Caller.CreateToken(ctx, token)
	o.note(err)
	return created, err
}

func (o observed) RevokeToken(ctx context.Context, id string) error {
	err := o.Caller.RevokeToken(ctx, id)
	o.note(err)
	return err
}
