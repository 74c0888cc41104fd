package human

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

// Connector takes a token in on a page. Calls that come while a page is open
// share it.
type Connector struct {
	pages  *Pages
	accept func(ctx context.Context, pat client.Secret) error

	mu   sync.Mutex
	open *connectorOffer
}

// NewConnector offers pages on which the person can enter a token. accept sees
// that the token works and keeps it; its error is shown on the page.
func NewConnector(pages *Pages, accept func(ctx context.Context, pat client.Secret) error) *Connector {
	return &Connector{pages: pages, accept: accept}
}

// Offer implements approval.TokenPage.
func (c *Connector) Offer(context.Context) (approval.Offer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil && !c.open.ended() {
		return c.open, nil
	}
	page, err := c.pages.Connect(c.accept)
	if err != nil {
		return nil, err
	}
	c.open = &connectorOffer{page: page, done: make(chan struct{})}
	go c.open.watch() //nolint:gosec,contextcheck // the page outlives the call that was first to need it
	return c.open, nil
}

// connectorOffer is one page that any number of calls wait for.
type connectorOffer struct {
	page *Offer
	show sync.Once
	// done is closed when the page has ended, as err says.
	done chan struct{}
	err  error

	mu sync.Mutex
	// waiting is how many calls wait for the page.
	waiting int
	// promised tells that a call was answered that the page stays open.
	promised bool
}

func (o *connectorOffer) watch() {
	o.err = o.page.Wait(context.Background())
	close(o.done)
}

func (o *connectorOffer) ended() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// URL implements approval.Offer.
func (o *connectorOffer) URL() string { return o.page.URL }

// Show implements approval.Offer. The browser is opened once, however many calls
// wait.
func (o *connectorOffer) Show(ctx context.Context) error {
	var err error
	// Others may wait for the page when the first call is gone.
	o.show.Do(func() { err = o.page.Open(context.WithoutCancel(ctx)) })
	if err != nil {
		o.page.Close()
		return errors.Join(approval.ErrUnreachable, err)
	}
	return nil
}

// Wait implements approval.Offer.
func (o *connectorOffer) Wait(ctx context.Context) error {
	o.mu.Lock()
	o.waiting++
	o.mu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
	}
	o.mu.Lock()
	o.waiting--
	o.promised = o.promised || errors.Is(ctx.Err(), context.DeadlineExceeded)
	alone := o.waiting == 0 && !o.promised
	o.mu.Unlock()
	switch {
	case o.ended():
		return o.err
	case alone:
		o.page.Close() // nobody is left who asked for it
	}
	return fmt.Errorf("nobody filled it in within the time that a call can wait: %w", ctx.Err())
}
