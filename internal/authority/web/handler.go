// Package web serves pages on which users manage their own tokens, below /web.
package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/webui"
)

// Handler serves the pages.
type Handler struct {
	Gateway  *exchange.Gateway
	Verifier *domain.Verifier
	Tokens   *domain.Tokens
	Sessions *domain.Sessions
	Hasher   domain.Hasher

	// URL is the address under which browsers reach the pages; nil if it is not known.
	URL *url.URL
	// Flush waits until recorded uses of tokens can be read.
	Flush func(context.Context)

	crossOrigin http.CrossOriginProtection
}

// ParseURL reads the address of the web page: http or https, and a host. The error is an
// [*InvalidError].
func ParseURL(text string) (*url.URL, error) {
	address, err := url.Parse(text)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "" || address.User != nil ||
		strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "" {
		return nil, &domain.InvalidError{Field: "web URL", Problem: "must be an address without a path, such as https://tokens.example.com"}
	}
	return &url.URL{Scheme: address.Scheme, Host: plainHost(ascii.Lower(address.Host), address.Scheme)}, nil
}

// Paths of the web page.
const (
	rootPath   = "/web"
	SignInPath = "/web/sign-in"
	tokensPath = "/web/tokens"
)

// maxFormFields is more than any form has.
const maxFormFields = 100

// routes returns the pages. Each POST needs the session's CSRF token, too.
func (h *Handler) routes() []exchange.Route {
	return []exchange.Route{
		{Method: http.MethodGet, Pattern: rootPath, Open: true, Serve: h.serveWebRoot},
		{Method: http.MethodGet, Pattern: SignInPath + "/{id}", Open: true, Serve: h.serveSignInForm},
		{Method: http.MethodPost, Pattern: SignInPath + "/{id}", Open: true, Serve: h.serveSignIn},
		{Method: http.MethodPost, Pattern: rootPath + "/sign-out", Serve: h.serveSignOut},
		{Method: http.MethodGet, Pattern: tokensPath, Needs: domain.ReadTokens, Serve: h.serveTokensPage},
		{Method: http.MethodGet, Pattern: tokensPath + "/new", Needs: domain.WriteTokens, Serve: h.serveCreateForm},
		{Method: http.MethodPost, Pattern: tokensPath + "/new", Needs: domain.WriteTokens, Serve: h.serveCreate, Refill: h.refillCreate},
		{Method: http.MethodGet, Pattern: tokensPath + "/{id}", Needs: domain.WriteTokens, Serve: h.serveEditForm},
		{Method: http.MethodPost, Pattern: tokensPath + "/{id}", Needs: domain.WriteTokens, Serve: h.serveEdit, Refill: h.refillEdit},
		{Method: http.MethodGet, Pattern: tokensPath + "/{id}/revoke", Needs: domain.WriteTokens, Serve: h.serveRevokeForm},
		{Method: http.MethodPost, Pattern: tokensPath + "/{id}/revoke", Needs: domain.WriteTokens, Serve: h.serveRevoke},
		{Method: http.MethodGet, Pattern: tokensPath + "/{id}/usage", Needs: domain.ReadTokens, Serve: h.serveUsagePage},
	}
}

// IsPath reports whether a path belongs to the web page.
func IsPath(path string) bool {
	return path == rootPath || strings.HasPrefix(path, rootPath+"/")
}

// Handler returns the pages. Failures are pages, too.
func (h *Handler) Handler() http.Handler {
	table := exchange.NewTable(h.routes())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := &exchange.Exchange{ResponseWriter: w, RequestID: domain.NewID("req_")}
		w.Header().Set("X-Request-Id", ex.RequestID)
		start := time.Now()
		defer func() {
			if panicked := recover(); panicked != nil {
				if panicked == http.ErrAbortHandler { //nolint:errorlint // the documented way to recognize it
					panic(panicked)
				}
				h.Gateway.Log.Error("a page panicked", slog.String("request_id", ex.RequestID), slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
				h.failWeb(ex, r, exchange.InternalError())
			}
			h.Gateway.Note(r, ex, time.Since(start))
		}()
		if err := h.serveWeb(ex, r, table); err != nil {
			h.failWeb(ex, r, err)
		}
	})
}

// serveWeb checks the origin, routes, authenticates and authorizes a request.
func (h *Handler) serveWeb(ex *exchange.Exchange, r *http.Request, table exchange.Table) error {
	rt, err := table.Match(r)
	ex.Pattern = rt.Pattern
	if err := h.Gateway.Pass(ex, r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	// After DNS rebinding a request has no session cookie anyway, since cookies belong to
	// a host.
	if h.URL != nil && !ascii.EqualFold(plainHost(r.Host, h.URL.Scheme), plainHost(h.URL.Host, h.URL.Scheme)) {
		return wrongHost()
	}
	if err := h.crossOrigin.Check(r); err != nil {
		return crossOriginForm()
	}
	ctx, cancel := context.WithTimeout(r.Context(), exchange.RequestTimeout) // as in serve
	defer cancel()
	if r.Method == http.MethodPost {
		// The form is read into this request, so that a page about a failure keeps it.
		if err := readForm(ex, r); err != nil {
			return err
		}
	}
	r = r.WithContext(ctx)
	if rt.Open {
		return rt.Serve(ex, r, domain.Identity{})
	}
	as, err := h.signedIn(ex, r)
	if errors.Is(err, errNotSignedIn) && rt.Refill != nil {
		return h.show(ex, domain.Identity{}, sessionEndedPage(r))
	}
	if err != nil {
		return err
	}
	ex.Prefix, ex.UserID = as.Prefix, as.UserID
	own := r.Method != http.MethodPost || h.isOwnForm(r, as)
	if !own && rt.Refill == nil {
		return crossOriginForm()
	}
	if rt.Needs != "" && !as.Permissions.Contains(rt.Needs) {
		return domain.MissingPermission(rt.Needs, as)
	}
	if !own {
		return rt.Refill(ex, r, as)
	}
	return rt.Serve(ex, r, as)
}

// plainHost returns a host without the scheme's default port, as browsers do.
func plainHost(host, scheme string) string {
	return strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[scheme])
}

func readForm(w http.ResponseWriter, r *http.Request) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return exchange.UnsupportedMediaType("This address accepts only the forms of its own pages.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, exchange.MaxBody)
	err = r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return exchange.BodyTooLarge()
	case err != nil:
		return exchange.BadRequest("The form could not be read to its end.")
	}
	fields := 0
	for _, values := range r.PostForm {
		fields += len(values)
	}
	if fields > maxFormFields {
		return exchange.BadRequest("The form has more fields than its page.")
	}
	return nil
}

func wrongHost() *exchange.Problem {
	return &exchange.Problem{
		Status: http.StatusMisdirectedRequest, Code: "misdirected_request",
		Message: "This page is served under another name. Open the address that you were given for it.",
	}
}

func crossOriginForm() *exchange.Problem {
	return &exchange.Problem{
		Status: http.StatusForbidden, Code: "forbidden",
		Message: "The form did not come from a page of this session, so nothing was done. Open the page again and repeat your change.",
	}
}

// errNotSignedIn leads to the sign-in page.
var errNotSignedIn = errors.New("there is no session")

// failWeb answers with a page about a failure. Inner errors go to the log.
func (h *Handler) failWeb(ex *exchange.Exchange, r *http.Request, err error) {
	if ex.Status != 0 {
		return // the answer has begun and cannot be taken back
	}
	var refused *domain.Refusal
	if errors.As(err, &refused) { // since the session was looked at
		ex.Refused = refused.Cause
		err = errNotSignedIn
	}
	if errors.Is(err, errNotSignedIn) {
		h.mustShow(ex, domain.Identity{}, signedOutPage(http.StatusUnauthorized))
		return
	}
	p := h.Gateway.ProblemFor(r.Context(), ex, err)
	ex.Reason = cmp.Or(p.Reason, p.Code)
	for name, values := range p.Header {
		if name != "Www-Authenticate" { // which is for programs
			ex.Header()[name] = values
		}
	}
	page := problemPage(p, ex.RequestID)
	if p.Code == exchange.Unavailable().Code && r.PostForm != nil {
		page = withForm(page, r)
	}
	h.mustShow(ex, domain.Identity{}, page)
}

// mustShow shows a page where nothing is left to be done if that fails.
func (h *Handler) mustShow(ex *exchange.Exchange, as domain.Identity, p webPage) {
	if err := h.show(ex, as, p); err != nil {
		h.Gateway.Log.Debug("a page could not be sent", slog.String("request_id", ex.RequestID), slog.Any("error", err))
	}
}

// seeOther redirects after a form, so that a reload does not send it again (RFC 9110, section
// 15.4.4).
func (h *Handler) seeOther(w http.ResponseWriter, path string) error {
	webui.SetHeaders(w.Header())
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (h *Handler) serveWebRoot(w http.ResponseWriter, _ *http.Request, _ domain.Identity) error {
	return h.seeOther(w, tokensPath)
}

// isOwnForm reports whether a form came from a page of this session.
func (h *Handler) isOwnForm(r *http.Request, as domain.Identity) bool {
	sent := r.PostForm["csrf"]
	return len(sent) == 1 && h.isFormToken(sent[0], as.CredentialID)
}

// signedIn returns the user of the browser's session.
func (h *Handler) signedIn(ex *exchange.Exchange, r *http.Request) (domain.Identity, error) {
	value := h.sessionCookie(r)
	if value == "" {
		return domain.Identity{}, errNotSignedIn
	}
	if !domain.WellFormed(domain.WebSession, value) {
		ex.Refused = domain.CauseMalformed
		return domain.Identity{}, errNotSignedIn
	}
	as, err := h.Verifier.Verify(r.Context(), domain.WebSession, value)
	var refused *domain.Refusal
	switch {
	case errors.As(err, &refused):
		ex.Prefix, ex.Refused = refused.Prefix, refused.Cause
		return domain.Identity{}, errNotSignedIn
	case err != nil:
		h.Gateway.Log.Error("a session could not be verified", slog.String("request_id", ex.RequestID), slog.Any("error", err))
		return domain.Identity{}, exchange.Unavailable()
	}
	return as, nil
}
