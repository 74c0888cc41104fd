package pages

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/peer"
	"github.com/kenbun/kenbun-mcp/internal/webui"
)

// formLimit is the largest form that is read, in bytes.
const formLimit = 64 << 10

// gate serves requests from our own pages, and from the browser when the user opens an address.
type gate struct {
	pages *Server
	host  string
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if cause := recover(); cause != nil {
			// The value of a panic may hold what the page shows.
			g.pages.log.Error("a page failed in a way that nobody foresaw", "kind", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
			g.show(w, r, noticeOfFailure())
		}
	}()
	arriving := isArrival(r) && g.pages.expects(r.URL.RequestURI())
	if refusal := g.refuse(r, arriving); refusal != nil {
		g.show(w, r, *refusal)
		return
	}
	if arriving {
		g.redirect(w, r)
		return
	}
	page := g.pages.find(r.URL.RequestURI())
	if page == nil && g.pages.wasWithdrawn(r.URL.RequestURI()) {
		g.show(w, r, noticeOfWithdrawal())
		return
	}
	if page == nil {
		g.show(w, r, noticeOfNothing())
		return
	}
	if r.Method == http.MethodPost {
		g.submit(w, r, page)
		return
	}
	shown, ok := page.shown()
	if !ok {
		shown = noticeOfNothing()
	}
	g.show(w, r, page.place(shown))
}

// submit handles a page's form.
func (g *gate) submit(w http.ResponseWriter, r *http.Request, page *page) {
	r.Body = http.MaxBytesReader(w, r.Body, formLimit)
	if err := r.ParseForm(); err != nil {
		g.show(w, r, noticeOfBadForm(err))
		return
	}
	if !page.isOwnForm(r.PostForm) {
		g.show(w, r, noticeOfRefusal(http.StatusForbidden))
		return
	}
	content, ok := page.begin()
	if !ok {
		g.show(w, r, noticeOfNothing())
		return
	}
	finished := false
	finish := func(over bool, err error) {
		finished = true
		page.finish(over, err)
	}
	defer func() {
		if !finished {
			finish(true, errPageFailed)
		}
	}()

	reply := content.act(page.ctx, r.PostForm)
	answer := reply.view
	if !reply.over {
		answer = page.place(answer)
	}
	if !reply.mustArrive {
		// Before the answer, which the next form may follow at once.
		finish(reply.over, reply.err)
		g.show(w, r, answer)
		return
	}
	if err := g.answer(w, r, answer); err != nil {
		finish(true, errNotArrived)
		return
	}
	finish(reply.over, reply.err)
}

// refuse returns the answer to a request that is neither from one of our pages nor from the
// browser itself. A browser that arrives comes from a redirect file.
func (g *gate) refuse(r *http.Request, arriving bool) *webui.Page {
	refusal := func(status int) *webui.Page {
		v := noticeOfRefusal(status)
		return &v
	}
	switch {
	case !peer.IsOwnUser(r.Context()):
		return refusal(http.StatusForbidden)
	case r.Host != g.host:
		// DNS rebinding: a foreign name for this address.
		return refusal(http.StatusMisdirectedRequest)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		return refusal(http.StatusMethodNotAllowed)
	case !g.isOwnOrigin(r.Header.Values("Origin")):
		return refusal(http.StatusForbidden)
	case !arriving && !isOwnSite(r.Header.Values("Sec-Fetch-Site"), r.Method):
		return refusal(http.StatusForbidden)
	}
	if r.Method != http.MethodPost {
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return refusal(http.StatusUnsupportedMediaType)
	}
	return nil
}

// redirect sends an arriving browser on to its page. An HTTP redirect would not do: browsers
// would still report another site as the origin.
func (g *gate) redirect(w http.ResponseWriter, r *http.Request) {
	page := g.pages.arrive(r.URL.RequestURI())
	if page == nil {
		g.show(w, r, noticeOfNothing()) // another was faster
		return
	}
	g.show(w, r, page.place(webui.Page{Template: "redirect", Status: http.StatusOK, Title: "kenbun-mcp"}))
}

// isArrival reports whether a browser navigates to an address by itself, as it does from a
// redirect file: from no site, or from another one, as browsers call a file.
func isArrival(r *http.Request) bool {
	return r.Method == http.MethodGet && hasOnly(r, "Sec-Fetch-Site", "none", "cross-site") &&
		hasOnly(r, "Sec-Fetch-Mode", "navigate") && hasOnly(r, "Sec-Fetch-Dest", "document")
}

// hasOnly reports whether a header is absent or has one of values.
func hasOnly(r *http.Request, header string, values ...string) bool {
	sent := r.Header.Values(header)
	return len(sent) == 0 || len(sent) == 1 && slices.Contains(values, sent[0])
}

// isOwnOrigin reports whether the Origin header is absent or names this server. "null" is sent
// for sandboxed and redirected pages.
func (g *gate) isOwnOrigin(origins []string) bool {
	return len(origins) == 0 || len(origins) == 1 && origins[0] == "http://"+g.host
}

// isOwnSite reports whether Sec-Fetch-Site (W3C Fetch Metadata) is absent, or means a page of
// this origin, or an address that the user or another program opened. Other ports of this
// machine are "same-site".
func isOwnSite(sites []string, method string) bool {
	if len(sites) == 0 {
		return true
	}
	allowed := []string{"same-origin"}
	if method != http.MethodPost {
		allowed = append(allowed, "none")
	}
	return len(sites) == 1 && slices.Contains(allowed, sites[0])
}

// show answers without regard to whether the answer arrives.
func (g *gate) show(w http.ResponseWriter, r *http.Request, v webui.Page) {
	if err := g.answer(w, r, v); err != nil {
		// The error itself names addresses.
		g.pages.log.Debug("an answer did not reach the browser", "status", v.Status)
	}
}

// answer writes a page. It returns nil only if the connection took all of it.
func (g *gate) answer(w http.ResponseWriter, r *http.Request, v webui.Page) error {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return errNotArrived
	}
	if v.Status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD, POST")
	}
	controller := http.NewResponseController(w)
	err := controller.SetWriteDeadline(time.Now().Add(answerTimeout))
	errWrite := layout.Write(w, v)
	if errors.Is(errWrite, webui.ErrRender) {
		g.pages.log.Error("a page could not be made", "cause", errWrite)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return errWrite
	}
	return errors.Join(err, errWrite, controller.Flush())
}
