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

// content is the content of a page.
type content interface {
	// view returns what the page shows. It may be called during act.
	view() webui.Page
	// act handles the submitted form. ctx ends with the page. A page never runs two at once.
	act(ctx context.Context, form url.Values) reply
}

// reply is the result of an act.
type reply struct {
	view webui.Page
	// over means that the page is done.
	over bool
	// err is the result of the page when it is over.
	err error
	// mustArrive means that the page succeeds only if the browser took the answer.
	mustArrive bool
}

var (
	errNotArrived = errors.New("the browser went away before the page reached it")
	errPageFailed = errors.New("the page failed")
)

// page is one open page. It ends exactly once.
type page struct {
	// path and csrf hold 130 random bits each (crypto/rand.Text).
	path      string
	csrf      string
	address   string
	ends      time.Time
	forget    func()
	redirects []*redirect // guarded by the lock of [Pages]
	timer     *time.Timer

	// ctx ends with the page.
	ctx    context.Context
	cancel context.CancelFunc

	// asks is the page's question, nil for other pages.
	asks *questionContent

	mu      sync.Mutex
	content content // nil once the page is over
	acting  bool
	// fate is how the page ends if the current act does not end it.
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

// hold keeps the page open beyond its time, during an act with a limit of its own.
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

// place returns v as part of this page.
func (p *page) place(v webui.Page) webui.Page {
	v.Path, v.CSRF, v.Where = p.path, p.csrf, p.ends
	return v
}

// begin gives one caller the right to act, until finish.
func (p *page) begin() (content, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.content == nil || p.acting {
		return nil, false
	}
	p.acting = true
	return p.content, true
}

// finish ends an act, and the page if over, with err.
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

// end ends the page with err, at once or after the current act, which may still succeed.
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

// settle ends the page. The caller holds the lock, and then calls leave.
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

// wait returns how the page ended. The page ends with ctx.
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
