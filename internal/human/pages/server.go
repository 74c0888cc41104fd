// Package pages reaches the user in their browser, on pages that this process serves on
// loopback: a new token, a question, a form for a token. No model can read or submit them.
package pages

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/peer"
	"github.com/kenbun/kenbun-mcp/internal/webui"
)

const (
	// idleTime is how long the server runs without an open page, so that a reload is answered.
	idleTime = time.Minute
	// grace is how long answers may take when the program ends.
	grace = 300 * time.Millisecond
	// answerTimeout bounds the writing of an answer.
	answerTimeout = 5 * time.Second
	// maxWithdrawn bounds the remembered withdrawn pages.
	maxWithdrawn = 100
	// acceptTimeout bounds the check of an entered token.
	acceptTimeout = 30 * time.Second
)

var errClosed = errors.New("the program is ending, and its pages with it")

// Server serves pages of this process over HTTP on a loopback port, which is open only while
// there are pages.
//
// Each page has an unguessable address and a time limit, and is gone once it is done. Requests
// must come from such a page or from the browser itself: Host, Origin, Sec-Fetch-Site, content
// type and a token in the form are checked, and on Linux the user at the other end of the
// connection. Pages load nothing, set no cookies and may not be framed.
//
// It is safe for concurrent use.
type Server struct {
	browser *Browser
	log     *slog.Logger
	idle    time.Duration

	mu     sync.Mutex
	closed bool
	site   *site
	pages  map[string]*page
	// arrivals are addresses that redirect a browser to a page, once.
	arrivals map[string]*page
	// withdrawn are the paths of withdrawn pages, oldest first.
	withdrawn []string
	pausing   *time.Timer
}

// site is one run of the pages' server.
type site struct {
	server *http.Server
	// host is the expected Host header.
	host   string
	served chan struct{}
}

// New returns a server of pages that browser opens. Without a browser, pages can only be offered
// by their address ([Server.Connect]). logger, which may be nil, receives errors, but never an
// address or what a page shows. Nothing is listened on before the first page.
func New(browser *Browser, logger *slog.Logger) *Server {
	logger = cmp.Or(logger, slog.New(slog.DiscardHandler))
	return &Server{browser: browser, log: logger, idle: idleTime, pages: map[string]*page{}, arrivals: map[string]*page{}}
}

// Close ends all pages and stops the server, within half a second.
func (p *Server) Close() error {
	p.mu.Lock()
	p.closed = true
	site := p.site
	p.site = nil
	if p.pausing != nil {
		p.pausing.Stop()
	}
	var open []*page
	for _, page := range p.pages {
		open = append(open, page)
	}
	p.mu.Unlock()

	for _, page := range open {
		page.end(errClosed)
	}
	if site == nil {
		return nil
	}
	return site.stop()
}

// ready reports whether a page can be shown now.
func (p *Server) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listen(); err != nil {
		return err
	}
	if len(p.pages) == 0 {
		p.pauseLater()
	}
	return nil
}

// open puts content on a page of its own for at most limit.
func (p *Server) open(content content, limit time.Duration) (*page, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listen(); err != nil {
		return nil, err
	}
	if p.pausing != nil {
		p.pausing.Stop()
	}
	page := newPage(content, time.Now().Add(limit))
	page.address = "http://" + p.site.host + page.path
	page.forget = func() { p.forget(page) }
	p.pages[page.path] = page
	page.endAfter(limit)
	return page, nil
}

// find returns the open page at path, nil if there is none.
func (p *Server) find(path string) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pages[path]
}

// wasWithdrawn reports whether the page at path was withdrawn lately.
func (p *Server) wasWithdrawn(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.withdrawn, path)
}

func (p *Server) forget(page *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pages, page.path)
	p.forgetRedirects(page)
	if errors.Is(page.err, context.Canceled) {
		p.withdrawn = append(p.withdrawn, page.path)
		p.withdrawn = p.withdrawn[max(0, len(p.withdrawn)-maxWithdrawn):]
	}
	if len(p.pages) == 0 && !p.closed {
		p.pauseLater()
	}
}

// listen starts the server if it does not run. The caller holds the lock.
func (p *Server) listen() error {
	if p.closed {
		return errClosed
	}
	if p.site != nil {
		return nil
	}
	listener, err := loopbackListener()
	if err != nil {
		// The system's error names an address, and this one may be shown to a model.
		p.log.Warn("no page can be shown: listening on loopback failed", "cause", err)
		return errors.New("no page can be shown: this system does not let the program listen on a loopback port")
	}
	site := &site{host: listener.Addr().String(), served: make(chan struct{})}
	site.server = &http.Server{
		Handler:     &gate{pages: p, host: site.host},
		ConnContext: peer.ConnContext,
		// net/http would answer "OPTIONS *" itself, whatever Host and Origin say.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  10 * time.Second,
		WriteTimeout:                 acceptTimeout + 2*answerTimeout,
		IdleTimeout:                  30 * time.Second,
		MaxHeaderBytes:               16 << 10,
		// What net/http logs holds addresses.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		defer close(site.served)
		if err := site.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("the pages' server ended early", "cause", err)
		}
	}()
	p.site = site
	return nil
}

func loopbackListener() (net.Listener, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err == nil {
		return listener, nil
	}
	listener, err6 := net.ListenTCP("tcp6", &net.TCPAddr{IP: net.IPv6loopback})
	if err6 == nil {
		return listener, nil
	}
	return nil, errors.Join(err, err6)
}

// pauseLater stops the server after a while without pages. The caller holds the lock.
func (p *Server) pauseLater() {
	if p.pausing != nil {
		p.pausing.Stop()
	}
	p.pausing = time.AfterFunc(p.idle, p.pause)
}

func (p *Server) pause() {
	p.mu.Lock()
	site := p.site
	if site == nil || len(p.pages) > 0 {
		p.mu.Unlock()
		return
	}
	p.site = nil
	p.mu.Unlock()
	if err := site.stop(); err != nil {
		p.log.Warn("the pages' server did not stop cleanly", "cause", err)
	}
}

func (s *site) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-s.served
	return err
}

//go:embed *.tmpl
var files embed.FS

var layout = webui.NewSite("kenbun-mcp", files, "*.tmpl", nil)

// notice is a page without a form.
type notice struct {
	Lines []string
	// Waiting are links to other questions.
	Waiting []waitingQuestion
}

func newNotice(status int, title, tone string, lines ...string) webui.Page {
	return webui.Page{Template: "notice", Status: status, Title: title, Tone: tone, Data: notice{Lines: lines}}
}

// noticeOfNothing is the same for unknown and for former pages.
func noticeOfNothing() webui.Page {
	return newNotice(http.StatusNotFound, "Nothing here any more", "",
		"This page was used, has expired, or never existed.",
		"If you still need it, ask your assistant to open a new one.")
}

// noticeOfWithdrawal answers for a page that was withdrawn before the user acted.
func noticeOfWithdrawal() webui.Page {
	return newNotice(http.StatusGone, "This was withdrawn", "",
		"Your assistant's call was cancelled, or your assistant was closed, before you decided. Nothing was done.",
		"If you still want it, ask your assistant again. You can close this tab.")
}

func noticeOfRefusal(status int) webui.Page {
	return newNotice(status, "This request was refused", "bad",
		"It did not come from a page of kenbun-mcp, so nothing was shown and nothing was done.",
		"Open the page's address directly, in a browser on this computer.")
}

func noticeOfBadForm(err error) webui.Page {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	return newNotice(status, "That form could not be read", "bad", "Nothing was done. Go back and try again.")
}

func noticeOfFailure() webui.Page {
	return newNotice(http.StatusInternalServerError, "Something went wrong", "bad",
		"kenbun-mcp failed while making this page. Your assistant knows. Ask it to try again.")
}

// date formats a time in the machine's time zone.
func date(t time.Time) string { return t.Local().Format("2 January 2006, 15:04 MST") }

// minutes formats a time limit.
func minutes(d time.Duration) string {
	d = d.Round(time.Second)
	if d%time.Minute != 0 || d == 0 {
		return d.String()
	}
	if d == time.Minute {
		return "1 minute"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}
