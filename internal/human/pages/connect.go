package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/webui"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

// connectTries is how often a token may be entered.
const connectTries = 5

// ErrTooManyTries indicates that none of the entered tokens was accepted.
var ErrTooManyTries = errors.New("no token that was entered could be used")

// errOfferWithdrawn is the result of a closed offer.
var errOfferWithdrawn = errors.New("the page was closed before a token was entered")

// Offer is a page for entering a token. It stays open for 15 minutes.
type Offer struct {
	// URL is unguessable, but the first to open it may enter a token.
	URL string

	pages *Server
	page  *page
}

// Connect offers a page that takes a kenbun token. What the user enters is parsed and given to
// accept, at most five times, one at a time and with 30 seconds each. The page shows accept's
// error, which must be a plain sentence without the token, and closes after nil.
func (p *Server) Connect(accept func(ctx context.Context, pat client.Secret) error) (*Offer, error) {
	page, err := p.open(&connectContent{accept: accept}, approval.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	return &Offer{URL: page.address, pages: p, page: page}, nil
}

// Open shows the page in the user's browser.
func (o *Offer) Open(ctx context.Context) error {
	if o.pages.browser == nil {
		return fmt.Errorf("%w: no browser can be opened here", approval.ErrUnreachable)
	}
	return o.pages.show(ctx, o.page)
}

// Wait returns nil once a token was accepted, or else [ErrTooManyTries],
// context.DeadlineExceeded when the page's time is up, or another reason. The page closes when
// ctx ends, and the error is that of ctx.
func (o *Offer) Wait(ctx context.Context) error { return o.page.wait(ctx) }

// Close withdraws the offer. It does nothing after a token was accepted.
func (o *Offer) Close() { o.page.end(errOfferWithdrawn) }

// connectContent is the form for a token.
type connectContent struct {
	accept func(ctx context.Context, pat client.Secret) error
	tries  int
}

type connectView struct {
	// Problem is what was wrong with the last entry.
	Problem string
	// Left is the number of tries left.
	Left int
}

func (c *connectContent) view() webui.Page { return c.form(http.StatusOK, connectView{}) }

func (c *connectContent) form(status int, data connectView) webui.Page {
	return webui.Page{Template: "connect", Status: status, Title: "Connect to kenbun", Failed: data.Problem != "", Data: data}
}

func (c *connectContent) act(ctx context.Context, form url.Values) reply {
	if len(form["token"]) != 1 {
		return reply{view: noticeOfBadForm(nil)}
	}
	c.tries++
	pat, err := client.ParsePAT(strings.TrimSpace(form.Get("token")))
	if err == nil {
		checking, cancel := context.WithTimeout(ctx, acceptTimeout)
		defer cancel()
		err = c.accept(checking, pat)
	}
	if err == nil {
		return reply{
			view: newNotice(http.StatusOK, "You are connected", "good",
				"Your assistant now acts in kenbun as you.",
				"You can close this tab."),
			over: true,
		}
	}
	problem := explain(err, pat)
	if c.tries < connectTries {
		return reply{view: c.form(http.StatusUnprocessableEntity, connectView{Problem: problem, Left: connectTries - c.tries})}
	}
	return reply{
		view: newNotice(http.StatusUnprocessableEntity, "That did not work either", "bad",
			problem,
			"Nothing was stored, and this page accepts no more attempts. Ask your assistant to connect again, and it opens a new page."),
		over: true, err: ErrTooManyTries,
	}
}

// explain turns an error into sentences for the page.
func explain(err error, pat client.Secret) string {
	text := err.Error()
	var told *tools.Error
	switch {
	case errors.As(err, &told):
		text = strings.TrimSpace(sentence(told.Message) + " " + told.Next)
	case errors.Is(err, context.DeadlineExceeded):
		text = "kenbun did not answer in time: try again in a moment"
	case errors.Is(err, context.Canceled):
		text = "this page closed before kenbun had answered"
	}
	if value := pat.Reveal(); value != "" && strings.Contains(text, value) {
		text = "this token could not be used"
	}
	return sentence(text)
}

// sentence capitalizes s and adds a full stop.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	if !strings.HasPrefix(s, "kenbun") {
		s = string(unicode.ToUpper(first)) + s[size:]
	}
	if !strings.ContainsRune(".!?", rune(s[len(s)-1])) {
		s += "."
	}
	return s
}

// Connector takes a token on a page that concurrent calls share.
type Connector struct {
	pages  *Server
	accept func(ctx context.Context, pat client.Secret) error

	mu   sync.Mutex
	open *connectorOffer
}

// NewConnector returns a connector. accept verifies and keeps the token; the page shows its
// error.
func NewConnector(pages *Server, accept func(ctx context.Context, pat client.Secret) error) *Connector {
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
	// done is closed when the page has ended, with err.
	done chan struct{}
	err  error

	mu sync.Mutex
	// waiting is how many calls wait for the page.
	waiting int
	// promised means that a call's answer relies on the page staying open.
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

// Show implements approval.Offer. It opens the browser once.
func (o *connectorOffer) Show(ctx context.Context) error {
	var err error
	// Other calls may wait for the page after this one.
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
