package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// guessLimit is how many tokens that the API refuses may come from one address:
// 30 at once, then one in two seconds.
var guessLimit = ratelimit.Limit{Burst: 30, Interval: 2 * time.Second}

const guessAdvice = "your network address sent too many tokens that do not work; wait as long as Retry-After says, " +
	"and then send one that does"

// guesses counts the tokens that the API refused, by the address that they came
// from. The API is spared the questions of who used too many; whose token was
// accepted lately is not held up by others at the same address. Nil: nobody
// counts.
type guesses struct {
	refused *ratelimit.Table
	metrics Metrics
}

func newGuesses(metrics Metrics) *guesses {
	return &guesses{ratelimit.NewTable(maxBuckets), metrics}
}

// wait is how long tokens from a network that are not known have to wait, 0 if
// they need not.
func (g *guesses) wait(from string) time.Duration {
	if g == nil {
		return 0
	}
	return g.refused.Look(from, guessLimit).Wait
}

// holdBack answers that a token from a network has to wait.
func (g *guesses) holdBack(w http.ResponseWriter, wait time.Duration) {
	g.metrics.Refused("failures")
	refuseForNow(w, wait, guessAdvice)
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
	case proves(err):
		o.accepted()
	case errors.Is(err, client.ErrUnauthenticated):
		o.refused()
	}
}

// Me may refuse a token that works elsewhere, and so may OrgUnits: their no says
// nothing.

func (o observed) Me(ctx context.Context) (*client.Me, error) {
	me, err := o.Caller.Me(ctx)
	if proves(err) {
		o.accepted()
	}
	return me, err
}

func (o observed) OrgUnits(ctx context.Context) ([]client.OrgUnit, error) {
	units, err := o.Caller.OrgUnits(ctx)
	if proves(err) {
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
