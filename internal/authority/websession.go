package authority

import (
	"crypto/hmac"
	"errors"
	"net/http"
	"net/url"
)

// Names of the session's cookie. Over TLS a browser takes one that begins with
// __Host- only from this very host, and sends it nowhere else; it has to be
// valid for all paths then (RFC 6265bis, section 4.1.3.2). The API does not look
// at cookies.
const (
	secureCookieName = "__Host-kenbun_session"
	plainCookieName  = "kenbun_session"
)

// servedOverTLS tells whether the browser sees this request's page over TLS.
func (a *Authority) servedOverTLS(r *http.Request) bool {
	return r.TLS != nil || a.webURL != nil && a.webURL.Scheme == "https"
}

// sessionCookie returns what the browser sent as its session, or "". A cookie
// that another site may have planted is not it.
func (a *Authority) sessionCookie(r *http.Request) string {
	name := plainCookieName
	if a.servedOverTLS(r) {
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
func (a *Authority) setSessionCookie(w http.ResponseWriter, r *http.Request, value string) {
	cookie := &http.Cookie{
		Name: plainCookieName, Path: webPath, Value: value,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if a.servedOverTLS(r) {
		cookie.Name, cookie.Path, cookie.Secure = secureCookieName, "/", true
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// formToken is what a form of a session carries, so that another site's cannot
// pass for it: only who has read a page of the session knows it.
func (a *Authority) formToken(sessionID string) string {
	return a.peppers.current().digest("form of " + sessionID)
}

func (a *Authority) isFormToken(sent, sessionID string) bool {
	for digest := range a.peppers.digests("form of " + sessionID) {
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
func (a *Authority) serveSignInForm(w http.ResponseWriter, r *http.Request, _ identity) error {
	link := r.PathValue("id")
	email, err := a.linkOwner(r.Context(), link)
	if errors.Is(err, errLinkRefused) {
		return a.show(w, identity{}, usedLinkPage())
	}
	if err != nil {
		return err
	}
	return a.show(w, identity{}, webPage{
		template: "sign-in", status: http.StatusOK, title: "Sign in to kenbun",
		data: signInView{Email: email, Action: webSignInPath + "/" + url.PathEscape(link)},
	})
}

func (a *Authority) serveSignIn(w http.ResponseWriter, r *http.Request, _ identity) error {
	session, err := a.signIn(r.Context(), r.PathValue("id"))
	if errors.Is(err, errLinkRefused) {
		return a.show(w, identity{}, usedLinkPage())
	}
	if err != nil {
		return err
	}
	a.setSessionCookie(w, r, session)
	return a.seeOther(w, webTokensPath)
}

func (a *Authority) serveSignOut(w http.ResponseWriter, r *http.Request, as identity) error {
	if err := a.endSession(r.Context(), as.credentialID); err != nil {
		return err
	}
	a.setSessionCookie(w, r, "")
	page := signedOutPage(http.StatusOK)
	page.title = "You are signed out"
	return a.show(w, identity{}, page)
}

func signedOutPage(status int) webPage {
	return webPage{template: "signed-out", status: status, title: "Sign in to see your tokens"}
}

// usedLinkPage is one answer for all causes.
func usedLinkPage() webPage {
	return webPage{template: "signed-out", status: http.StatusGone, title: "This link does not work any more"}
}
