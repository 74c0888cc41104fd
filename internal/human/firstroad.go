package human

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// FirstRoad takes the first of several roads that is open. Which one it is is
// found out at each Check, and holds until the next.
type FirstRoad struct {
	roads []tokens.Deliverer
	taken atomic.Pointer[tokens.Deliverer]
}

// NewFirstRoad returns the roads, the best one first.
func NewFirstRoad(roads ...tokens.Deliverer) *FirstRoad { return &FirstRoad{roads: roads} }

// Road implements tokens.Deliverer.
func (f *FirstRoad) Road() string {
	if road := f.taken.Load(); road != nil {
		return (*road).Road()
	}
	return "none"
}

// Check looks for an open road. Its error tells what is wrong with each.
func (f *FirstRoad) Check(ctx context.Context) error {
	var closed []error
	for i := range f.roads {
		err := f.roads[i].Check(ctx)
		if err == nil {
			f.taken.Store(&f.roads[i])
			return nil
		}
		closed = append(closed, fmt.Errorf("%s: %w", f.roads[i].Road(), err))
	}
	return errors.Join(closed...)
}

// Waits implements tokens.Receiver for the road that Check found: zero if that does not.
func (f *FirstRoad) Waits() time.Duration {
	if road := f.taken.Load(); road != nil {
		if receiver, ok := (*road).(tokens.Receiver); ok {
			return receiver.Waits()
		}
	}
	return 0
}

// Expect implements tokens.Receiver for the road that Check found.
func (f *FirstRoad) Expect(ctx context.Context, want client.NewToken) (tokens.Pickup, error) {
	road := f.taken.Load()
	if road == nil {
		return nil, errors.New("no road was found open before")
	}
	receiver, ok := (*road).(tokens.Receiver)
	if !ok {
		return nil, errors.New("the road that was found open waits for nobody")
	}
	return receiver.Expect(ctx, want)
}

// Deliver takes the road that Check found.
func (f *FirstRoad) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	road := f.taken.Load()
	if road == nil {
		return tokens.Receipt{}, errors.New("no road was found open before")
	}
	return (*road).Deliver(ctx, caller, token)
}
