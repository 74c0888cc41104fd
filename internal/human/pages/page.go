package pages

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/webui"
)

// content is what stands on a page.
type content interface {
	// view is what the page shows until it is over. It may be called during act.
	view() webui.Page
	// act does what the person chose in the form. ctx ends with the page. It is
	// never called twice at once for a page.
	act(ctx context.Context, form url.Values) reply
}

// reply is what comes of a person's act.
type reply struct {
	view webui.Page
	// over tells that the page did what it is for.
	over bool
	// err is how the wait for the page ends when it is over.
	err error
	// mustArrive tells that it has not ended well before the browser took the
	// answer.
	mustArrive bool
}

var (
	errNotArrived = errors.New("the browser went away before the page reached it")
	errPageFailed = errors.New("the page failed")
)

// page is one open page. It ends exactly once, by the person's act or by what
// befalls it.
type page struct {
	// path and csrf hold 130 random bits each (crypto/rand.Text).
	path    string
	csrf    string
	address string
	ends    time.Time
	forget  func()
	leads   []*lead // guarded by the lock of [Pages]
	timer   *time.Timer

	// ctx ends with the page.
	ctx    context.Context
	cancel context.CancelFunc

	// asks is what the page asks, nil for a page that asks nothing.
	asks *questionContent

	mu      sync.Mutex
	content content // nil once the page is over
	acting  bool
	// fate is how the page ends if the act that is under way does not end it.
	fate error
	err  error
	done chan struct{}
}

func newPage(content content, ends time.Time) *page {
	ctx, cancel := context.WithCancel(context.Background())
	asks, _ := content.(*questionContent)
	return &page{
		asks: asks,
		path: "/" + rand.Text(), csrf: rand.Text(), ends: ends,
		ctx: ctx, cancel: cancel, content: content, done: make(chan struct{}),
	}
}

// endAfter ends the page when its time is up.
func (p *page) endAfter(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(limit, func() { p.end(context.DeadlineExceeded) })
}

// hold keeps the page open beyond its time, for an act that has a limit of its own.
func (p *page) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
}

// shown returns what the page shows until it is over.
func (p *page) shown() (webui.Page, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.content == nil {
		return webui.Page{}, false
	}
	return p.content.view(), true
}

// place returns v as it is shown on the page.
func (p *page) place(v webui.Page) webui.Page {
	v.Path, v.CSRF, v.Where = p.path, p.csrf, p.ends
	return v
}

// begin gives the caller, and nobody else, the right to act. What begins ends
// with finish.
func (p *page) begin() (content, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.content == nil || p.acting {
		return nil, false
	}
	p.acting = true
	return p.content, true
}

// finish ends an act, and with it the page if over, with err.
func (p *page) finish(over bool, err error) {
	p.mu.Lock()
	p.acting = false
	if !over && p.fate != nil {
		over, err = true, p.fate
	}
	if over {
		p.settle(err)
	}
	p.mu.Unlock()
	if over {
		p.leave()
	}
}

// end ends the page with err: at once, or after the act that is under way,
// which may still end it well.
func (p *page) end(err error) {
	p.mu.Lock()
	if p.content == nil || p.acting {
		if p.acting && p.fate == nil {
			p.fate = err
			p.cancel()
		}
		p.mu.Unlock()
		return
	}
	p.settle(err)
	p.mu.Unlock()
	p.leave()
}

// settle makes the end final. The caller holds the lock, and calls leave when
// it does no more.
func (p *page) settle(err error) {
	p.content = nil // and with it what it shows
	p.err = err
	p.timer.Stop()
	p.cancel()
}

func (p *page) leave() {
	p.forget()
	close(p.done)
}

// wait returns how the page ended. If ctx ends first, so does the page.
func (p *page) wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.end(ctx.Err())
		<-p.done
	}
	return p.err
}

// isOwnForm reports whether a form was sent from this page.
func (p *page) isOwnForm(form url.Values) bool {
	sent := form["csrf"]
	return len(sent) == 1 && subtle.ConstantTimeCompare([]byte(sent[0]), []byte(p.csrf)) == 1
}
