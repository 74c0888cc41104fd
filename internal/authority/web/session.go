package web

import (
	"crypto/hmac"
	"errors"
	"net/http"
	"net/url"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// Names of the session's cookie. Over TLS, the prefix __Host- binds it to this host and
// requires the path / (RFC 6265bis, section 4.1.3.2).
const (
	secureCookieName = "__Host-kenbun_session"
	plainCookieName  = "kenbun_session"
)

// servedOverTLS reports whether the browser uses TLS.
func (h *Handler) servedOverTLS(r *http.Request) bool {
	return r.TLS != nil || h.URL != nil && h.URL.Scheme == "https"
}

// sessionCookie returns the browser's session, or "". Of two cookies, one may be planted.
func (h *Handler) sessionCookie(r *http.Request) string {
	name := plainCookieName
	if h.servedOverTLS(r) {
		name = secureCookieName
	}
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// setSessionCookie sets the session for as long as the browser runs, or removes an empty one.
func (h *Handler) setSessionCookie(w http.ResponseWriter, r *http.Request, value string) {
	cookie := &http.Cookie{
		Name: plainCookieName, Path: rootPath, Value: value,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if h.servedOverTLS(r) {
		cookie.Name, cookie.Path, cookie.Secure = secureCookieName, "/", true
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// formToken returns the CSRF token of a session's forms.
func (h *Handler) formToken(sessionID string) string {
	digest, _ := h.Hasher.Digest("form of " + sessionID)
	return digest
}

func (h *Handler) isFormToken(sent, sessionID string) bool {
	for digest := range h.Hasher.Digests("form of " + sessionID) {
		if hmac.Equal([]byte(sent), []byte(digest)) {
			return true
		}
	}
	return false
}

type signInView struct {
	Email  string
	Action string
}

// serveSignInForm shows a button, so that a link preview does not use up the link.
func (h *Handler) serveSignInForm(w http.ResponseWriter, r *http.Request, _ domain.Identity) error {
	link := r.PathValue("id")
	email, err := h.Sessions.LinkOwner(r.Context(), link)
	if errors.Is(err, domain.ErrLinkRefused) {
		return h.show(w, domain.Identity{}, usedLinkPage())
	}
	if err != nil {
		return err
	}
	return h.show(w, domain.Identity{}, webPage{
		template: "sign-in", status: http.StatusOK, title: "Sign in to kenbun",
		data: signInView{Email: email, Action: SignInPath + "/" + url.PathEscape(link)},
	})
}

func (h *Handler) serveSignIn(w http.ResponseWriter, r *http.Request, _ domain.Identity) error {
	session, err := h.Sessions.SignIn(r.Context(), r.PathValue("id"))
	if errors.Is(err, domain.ErrLinkRefused) {
		return h.show(w, domain.Identity{}, usedLinkPage())
	}
	if err != nil {
		return err
	}
	h.setSessionCookie(w, r, session)
	return h.seeOther(w, tokensPath)
}

func (h *Handler) serveSignOut(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	if err := h.Sessions.EndSession(r.Context(), as.CredentialID); err != nil {
		return err
	}
	h.setSessionCookie(w, r, "")
	page := signedOutPage(http.StatusOK)
	page.title = "You are signed out"
	return h.show(w, domain.Identity{}, page)
}

func signedOutPage(status int) webPage {
	return webPage{template: "signed-out", status: status, title: "Sign in to see your tokens"}
}

// usedLinkPage is the same for all causes.
func usedLinkPage() webPage {
	return webPage{template: "signed-out", status: http.StatusGone, title: "This link does not work any more"}
}
