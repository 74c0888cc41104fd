package web

import (
	"crypto/hmac"
	"errors"
	"net/http"
	"net/url"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// Names of the session's cookie. Over TLS a browser takes one that begins with
// __Host- only from this very host, and sends it nowhere else; it has to be
// valid for all paths then (RFC 6265bis, section 4.1.3.2). The API does not look
// at cookies.
const (
	secureCookieName = "__Host-kenbun_session"
	plainCookieName  = "kenbun_session"
)

// servedOverTLS reports whether the browser sees this request's page over TLS.
func (h *Handler) servedOverTLS(r *http.Request) bool {
	return r.TLS != nil || h.URL != nil && h.URL.Scheme == "https"
}

// sessionCookie returns what the browser sent as its session, or "". A cookie
// that another site may have planted is not it.
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

// setSessionCookie has the browser keep the session until it is closed; an
// empty value ends that.
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

// formToken is what a form of a session carries, so that another site's cannot
// pass for it: it is known only from a page of the session.
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

// serveSignInForm shows a button and leaves the link as it is, so that a
// program that looks at links in messages does not use it up.
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

// usedLinkPage is one answer for all causes.
func usedLinkPage() webPage {
	return webPage{template: "signed-out", status: http.StatusGone, title: "This link does not work any more"}
}
