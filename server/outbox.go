package server

import (
	"context"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// outbox writes notifications in the order in which they were sent. It costs
// next to nothing until the first one.
type outbox struct {
	write func(mcp.JSONRPCNotification)
	size  int

	mu     sync.Mutex
	queue  chan mcp.JSONRPCNotification
	closed chan struct{}
}

// newOutbox returns an outbox in which up to size notifications wait to be
// written. The library drops those that do not fit.
func newOutbox(size int, write func(mcp.JSONRPCNotification)) *outbox {
	return &outbox{write: write, size: size, closed: make(chan struct{})}
}

// NotificationChannel is where the library puts notifications.
func (o *outbox) NotificationChannel() chan<- mcp.JSONRPCNotification {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		o.queue = make(chan mcp.JSONRPCNotification, o.size)
		go o.pump(o.queue)
	}
	return o.queue
}

// barrierMethod marks what is no notification but a call waiting for those
// before it to be written.
const barrierMethod = "\x00barrier"

func (o *outbox) pump(queue <-chan mcp.JSONRPCNotification) {
	for {
		select {
		case n := <-queue:
			if n.Method == barrierMethod {
				if passed, ok := n.Params.AdditionalFields[barrierMethod].(chan struct{}); ok {
					close(passed)
				}
				continue
			}
			o.write(n)
		case <-o.closed:
			return
		}
	}
}

// flush returns once every notification sent so far is written, so that none
// comes after the answer that it belongs to.
func (o *outbox) flush(ctx context.Context) {
	o.mu.Lock()
	queue := o.queue
	o.mu.Unlock()
	if queue == nil {
		return
	}
	passed := make(chan struct{})
	barrier := mcp.JSONRPCNotification{}
	barrier.Method = barrierMethod
	barrier.Params.AdditionalFields = map[string]any{barrierMethod: passed}
	select {
	case queue <- barrier:
	case <-o.closed:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-passed:
	case <-o.closed:
	case <-ctx.Done():
	}
}

// close ends the writing. It is called once.
func (o *outbox) close() { close(o.closed) }
