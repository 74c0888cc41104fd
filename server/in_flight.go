package server

import (
	"context"
	"encoding/json"
	"sync"
)

// inFlight are the requests of one client that are being worked on, so that it
// can take them back. They are told apart by their ids as these were written:
// the library, which has numbers as floating-point ones and texts without their
// quotes, would take some for others.
type inFlight struct {
	mu   sync.Mutex
	open map[string]*context.CancelFunc // by the id's JSON
}

func newInFlight() *inFlight { return &inFlight{open: map[string]*context.CancelFunc{}} }

// begin returns the context of a request, which ends when the client takes the
// request back, and the function to call when the request is answered. Of
// requests with equal ids the latest can be taken back. For nil there is nothing
// to take back with.
func (f *inFlight) begin(ctx context.Context, id json.RawMessage) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	if f == nil {
		return ctx, cancel
	}
	begun := &cancel // no other request has the same pointer
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[string(id)] = begun
	return ctx, func() {
		cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.open[string(id)] == begun {
			delete(f.open, string(id))
		}
	}
}

// cancel ends the request that a notification with params takes back, if there
// is one.
func (f *inFlight) cancel(params json.RawMessage) {
	var cancelled struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(params, &cancelled) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel := f.open[string(cancelled.RequestID)]; cancel != nil {
		(*cancel)()
	}
}
