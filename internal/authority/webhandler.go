package authority

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/webui"
)

// Paths of the web page.
const (
	webPath       = "/web"
	webSignInPath = "/web/sign-in"
	webTokensPath = "/web/tokens"
)

// maxFormFields is more than any form here has, with every permission chosen.
const maxFormFields = 100

// webRoutes are the pages. Beside its form, each that changes something needs
// the session's own token in it.
func (a *Authority) webRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: webPath, open: true, serve: a.serveWebRoot},
		{method: http.MethodGet, pattern: webSignInPath + "/{id}", open: true, serve: a.serveSignInForm},
		{method: http.MethodPost, pattern: webSignInPath + "/{id}", open: true, serve: a.serveSignIn},
		{method: http.MethodPost, pattern: webPath + "/sign-out", serve: a.serveSignOut},
		{method: http.MethodGet, pattern: webTokensPath, needs: readTokens, serve: a.serveTokensPage},
		{method: http.MethodGet, pattern: webTokensPath + "/new", needs: writeTokens, serve: a.serveCreateForm},
		{method: http.MethodPost, pattern: webTokensPath + "/new", needs: writeTokens, serve: a.serveCreate, refill: a.refillCreate},
		{method: http.MethodGet, pattern: webTokensPath + "/{id}", needs: writeTokens, serve: a.serveEditForm},
		{method: http.MethodPost, pattern: webTokensPath + "/{id}", needs: writeTokens, serve: a.serveEdit, refill: a.refillEdit},
		{method: http.MethodGet, pattern: webTokensPath + "/{id}/revoke", needs: writeTokens, serve: a.serveRevokeForm},
		{method: http.MethodPost, pattern: webTokensPath + "/{id}/revoke", needs: writeTokens, serve: a.serveRevoke},
		{method: http.MethodGet, pattern: webTokensPath + "/{id}/usage", needs: readTokens, serve: a.serveUsagePage},
	}
}

// isWebPath tells whether a request is for the web page. What is below /web is
// no part of the API's interface.
func isWebPath(path string) bool {
	return path == webPath || strings.HasPrefix(path, webPath+"/")
}

// webHandler serves the pages. What goes wrong is told as a page, too.
func (a *Authority) webHandler() http.Handler {
	table := newRouteTable(a.webRoutes())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := &exchange{ResponseWriter: w, requestID: newID("req_")}
		w.Header().Set("X-Request-Id", ex.requestID)
		start := time.Now()
		defer func() {
			if panicked := recover(); panicked != nil {
				if panicked == http.ErrAbortHandler { //nolint:errorlint // the documented way to recognize it
					panic(panicked)
				}
				a.log.Error("a page panicked", slog.String("request_id", ex.requestID), slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
				a.failWeb(ex, r, internalError())
			}
			a.logExchange(r, ex, time.Since(start))
		}()
		if err := a.serveWeb(ex, r, table); err != nil {
			a.failWeb(ex, r, err)
		}
	})
}

// serveWeb leads a request through where it comes from, routing, the session
// and permission to its page.
func (a *Authority) serveWeb(ex *exchange, r *http.Request, table routeTable) error {
	rt, err := table.match(r)
	ex.pattern = rt.pattern
	if err := a.passGateway(ex, r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	// The session's cookie belongs to the host that the browser went to, and so
	// a foreign name that leads here (DNS rebinding) comes without one. Where
	// the name is known, no other is answered all the same.
	if a.webURL != nil && !ascii.EqualFold(plainHost(r.Host, a.webURL.Scheme), plainHost(a.webURL.Host, a.webURL.Scheme)) {
		return wrongHost()
	}
	if err := a.crossOrigin.Check(r); err != nil {
		return crossOriginForm()
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout) // as in serve
	defer cancel()
	if r.Method == http.MethodPost {
		// The request that came is given its form, and not a copy of it: a page that
		// tells of a failure keeps what was typed.
		if err := readForm(ex, r); err != nil {
			return err
		}
	}
	r = r.WithContext(ctx)
	if rt.open {
		return rt.serve(ex, r, identity{})
	}
	as, err := a.signedIn(ex, r)
	if errors.Is(err, errNotSignedIn) && rt.refill != nil {
		return a.show(ex, identity{}, sessionEndedPage(r))
	}
	if err != nil {
		return err
	}
	ex.prefix, ex.userID = as.prefix, as.userID
	own := r.Method != http.MethodPost || a.isOwnForm(r, as)
	if !own && rt.refill == nil {
		return crossOriginForm()
	}
	if rt.needs != "" && !as.permissions.contains(rt.needs) {
		return missingPermission(rt.needs, as)
	}
	if !own {
		return rt.refill(ex, r, as)
	}
	return rt.serve(ex, r, as)
}

// plainHost is a host without the port that its scheme has anyway.
func plainHost(host, scheme string) string {
	return strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[scheme])
}

func readForm(w http.ResponseWriter, r *http.Request) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return unsupportedMediaType("This address takes the forms of its own pages.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	err = r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return bodyTooLarge()
	case err != nil:
		return badRequest("The form could not be read to its end.")
	}
	fields := 0
	for _, values := range r.PostForm {
		fields += len(values)
	}
	if fields > maxFormFields {
		return badRequest("The form has more fields than its page.")
	}
	return nil
}

func wrongHost() *problem {
	return &problem{
		status: http.StatusMisdirectedRequest, code: "misdirected_request",
		message: "This page is served under another name. Open the address that you were given for it.",
	}
}

func crossOriginForm() *problem {
	return &problem{
		status: http.StatusForbidden, code: "forbidden",
		message: "The form did not come from a page of this session, so nothing was done. Open the page again and repeat what you did there.",
	}
}

// errNotSignedIn is answered by the page that tells how to sign in.
var errNotSignedIn = errors.New("there is no session")

// failWeb tells what went wrong. What is no answer by itself goes to the log.
func (a *Authority) failWeb(ex *exchange, r *http.Request, err error) {
	if ex.status != 0 {
		return // the answer has begun and cannot be taken back
	}
	var refused *refusal
	if errors.As(err, &refused) { // since the session was looked at
		ex.refused = refused.cause
		err = errNotSignedIn
	}
	if errors.Is(err, errNotSignedIn) {
		a.mustShow(ex, identity{}, signedOutPage(http.StatusUnauthorized))
		return
	}
	p := a.problemFor(r.Context(), ex, err)
	ex.reason = cmp.Or(p.reason, p.code)
	for name, values := range p.header {
		if name != "Www-Authenticate" { // which is for programs
			ex.Header()[name] = values
		}
	}
	page := problemPage(p, ex.requestID)
	if p.code == unavailable().code && r.PostForm != nil {
		page = withForm(page, r)
	}
	a.mustShow(ex, identity{}, page)
}

// mustShow shows a page where nothing is left to be done if that fails.
func (a *Authority) mustShow(ex *exchange, as identity, p webPage) {
	if err := a.show(ex, as, p); err != nil {
		a.log.Debug("a page could not be sent", slog.String("request_id", ex.requestID), slog.Any("error", err))
	}
}

// seeOther leads the browser on after a form, so that loading the page again
// does not send the form again (RFC 9110, section 15.4.4).
func (a *Authority) seeOther(w http.ResponseWriter, path string) error {
	webui.SetHeaders(w.Header())
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (a *Authority) serveWebRoot(w http.ResponseWriter, _ *http.Request, _ identity) error {
	return a.seeOther(w, webTokensPath)
}

// isOwnForm tells whether a form came from a page of this session.
func (a *Authority) isOwnForm(r *http.Request, as identity) bool {
	sent := r.PostForm["csrf"]
	return len(sent) == 1 && a.isFormToken(sent[0], as.credentialID)
}

// signedIn returns as whom the browser's session acts, read anew at each
// request as for a token.
func (a *Authority) signedIn(ex *exchange, r *http.Request) (identity, error) {
	value := a.sessionCookie(r)
	if value == "" {
		return identity{}, errNotSignedIn
	}
	if !wellFormed(webSession, value) {
		ex.refused = causeMalformed
		return identity{}, errNotSignedIn
	}
	as, err := a.verify(r.Context(), webSession, value)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		ex.prefix, ex.refused = refused.prefix, refused.cause
		return identity{}, errNotSignedIn
	case err != nil:
		a.log.Error("a session could not be verified", slog.String("request_id", ex.requestID), slog.Any("error", err))
		return identity{}, unavailable()
	}
	return as, nil
}
