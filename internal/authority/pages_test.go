package authority

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// webVisit is a browser without a face: it keeps the session's cookie and reads
// the forms.
type webVisit struct {
	f      *fixture
	cookie string
}

func newWebFixture(t *testing.T, cfg Config) *fixture {
	t.Helper()
	cfg.Web = true
	f := newFixture(t, cfg)
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

// link returns the path of a new sign-in link.
func (f *fixture) link(email string) string {
	f.t.Helper()
	address, err := f.IssueSignInLink(f.t.Context(), email, "", f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimPrefix(address, f.url)
}

// visit signs in by a link.
func (f *fixture) visit(email string) *webVisit {
	f.t.Helper()
	got := f.send("POST", f.link(email), "x=", formType)
	wantStatus(f.t, got, http.StatusSeeOther)
	cookie, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	return &webVisit{f, cookie}
}

const formType = "Content-Type: application/x-www-form-urlencoded"

func (v *webVisit) get(path string) answer {
	v.f.t.Helper()
	return v.f.send("GET", path, "", "Cookie: "+v.cookie)
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// form returns what the page at path sends if nothing is filled in.
func (v *webVisit) form(path string) url.Values {
	v.f.t.Helper()
	got := v.get(path)
	wantStatus(v.f.t, got, http.StatusOK)
	values := url.Values{}
	_, form, found := strings.Cut(got.body, "<main")
	if !found {
		v.f.t.Fatalf("%s is no page", path)
	}
	for _, field := range hiddenField.FindAllStringSubmatch(form, -1) {
		values.Set(field[1], html.UnescapeString(field[2]))
	}
	return values
}

func (v *webVisit) post(path string, values url.Values, headers ...string) answer {
	v.f.t.Helper()
	return v.f.send("POST", path, values.Encode(), append(headers, formType, "Cookie: "+v.cookie)...)
}

// submit fills in the form at path and sends it.
func (v *webVisit) submit(path string, fields map[string][]string) answer {
	v.f.t.Helper()
	values := v.form(path)
	for name, field := range fields {
		values[name] = field
	}
	return v.post(path, values)
}

var shownField = regexp.MustCompile(`<textarea id="value"[^>]*>([^<]+)</textarea>`)

func (v *webVisit) create(fields map[string][]string) (value string) {
	v.f.t.Helper()
	got := v.submit("/web/tokens/new", fields)
	wantStatus(v.f.t, got, http.StatusCreated)
	found := shownField.FindStringSubmatch(got.body)
	if found == nil {
		v.f.t.Fatal("the page does not show the value")
	}
	return found[1]
}

func TestK6_LinkSignsInOnceAfterTheButton(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		link := f.link("ada@example.com")
		for range 3 { // such as a preview of the link in a chat
			if got := f.send("GET", link, ""); got.status != http.StatusOK || !strings.Contains(got.body, "ada@example.com") || got.header.Get("Set-Cookie") != "" {
				t.Fatalf("the link's page: %d", got.status)
			}
		}
		statuses := make(chan int, 20)
		var wait sync.WaitGroup
		for range cap(statuses) {
			wait.Go(func() {
				got, err := f.trySend(t.Context(), "POST", link, "x=", formType)
				if err != nil {
					t.Error(err)
				}
				statuses <- got.status
			})
		}
		wait.Wait()
		close(statuses)
		signedIn := 0
		for status := range statuses {
			switch status {
			case http.StatusSeeOther:
				signedIn++
			case http.StatusGone:
			default:
				t.Errorf("status %d", status)
			}
		}
		if signedIn != 1 {
			t.Errorf("%d signed in with one link", signedIn)
		}
		wantStatus(t, f.send("GET", link, ""), http.StatusGone)
	})
}

func TestK6_LinkEndsAfterTenMinutes(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	link := f.link("ada@example.com")
	f.clock.advance(SignInLinkLifetime - time.Millisecond)
	wantStatus(t, f.send("GET", link, ""), http.StatusOK)
	f.clock.advance(time.Millisecond)
	wantStatus(t, f.send("GET", link, ""), http.StatusGone)
	wantStatus(t, f.send("POST", link, "x=", formType), http.StatusGone)
	for _, other := range []string{"/web/sign-in/x", "/web/sign-in/" + domain.NewCredential(domain.SignInLink), "/web/sign-in/" + domain.NewCredential(domain.SessionToken)} {
		wantStatus(t, f.send("GET", other, ""), http.StatusGone)
		wantStatus(t, f.send("POST", other, "x=", formType), http.StatusGone)
	}
	suspended := f.link("ada@example.com")
	if err := f.Suspend(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.send("GET", suspended, ""), http.StatusGone)
	wantStatus(t, f.send("POST", suspended, "x=", formType), http.StatusGone)
	if err := f.Restore(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.send("POST", suspended, "x=", formType), http.StatusSeeOther)
}

func TestK6_SessionCookie(t *testing.T) {
	for name, c := range map[string]struct{ url, want string }{
		"http":  {"", "kenbun_session; Path=/web; HttpOnly; SameSite=Strict"},
		"https": {"https://tokens.example.com", "__Host-kenbun_session; Path=/; HttpOnly; Secure; SameSite=Strict"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newWebFixture(t, Config{WebURL: c.url})
			f.user("ada@example.com", RoleMember)
			address, err := f.IssueSignInLink(t.Context(), "ada@example.com", "", f.url)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", address, strings.NewReader("x="))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.url != "" {
				r.Host = "tokens.example.com"
			}
			response, err := f.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := response.Body.Close(); err != nil {
				t.Fatal(err)
			}
			name, rest, _ := strings.Cut(response.Header.Get("Set-Cookie"), "=")
			_, attributes, _ := strings.Cut(rest, ";")
			if got := name + ";" + attributes; got != c.want {
				t.Errorf("cookie %s", got)
			}
		})
	}
}

// TestK6_OtherHostsAreNotServed holds where the page's own address is known.
func TestK6_OtherHostsAreNotServed(t *testing.T) {
	f := newWebFixture(t, Config{WebURL: "https://tokens.example.com"})
	wantStatus(t, f.send("GET", "/web/tokens", ""), http.StatusMisdirectedRequest)
	wantStatus(t, f.send("GET", "/healthz", ""), http.StatusOK)
}

// TestK6_TheDefaultPortMayBeWritten holds the address against what a browser
// sends, which leaves that port out (RFC 9110, section 4.2.3).
func TestK6_TheDefaultPortMayBeWritten(t *testing.T) {
	for address, host := range map[string]string{
		"https://tokens.example.com:443":  "tokens.example.com",
		"http://tokens.example.com:80":    "tokens.example.com",
		"https://[2001:db8::1]:443":       "[2001:db8::1]",
		"https://tokens.example.com:8443": "tokens.example.com:8443",
	} {
		f := newWebFixture(t, Config{WebURL: address})
		r, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/web/tokens", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := f.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, answer{status: response.StatusCode}, http.StatusUnauthorized)
	}
}

// TestK6_APlantedCookieIsNoSession tries what a neighbour of the host can set.
func TestK6_APlantedCookieIsNoSession(t *testing.T) {
	f := newWebFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	wantStatus(t, visit.get("/web/tokens"), http.StatusOK)
	for name, cookie := range map[string]string{
		"twice":          visit.cookie + "; " + visit.cookie,
		"a token":        "kenbun_session=" + issued.Value,
		"another":        "kenbun_session=" + domain.NewCredential(domain.SessionToken),
		"empty":          "kenbun_session=",
		"the other name": "__Host-" + visit.cookie,
	} {
		got := f.send("GET", "/web/tokens", "", "Cookie: "+cookie)
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	// Nor is a cookie a credential of the API.
	wantStatus(t, f.send("GET", "/settings/tokens", "", "Cookie: "+visit.cookie), http.StatusUnauthorized)
}

// TestK6_ASessionOfThePageIsOfItsOwnKind holds the cookie's value against the API,
// and a session of the API against the page.
func TestK6_ASessionOfThePageIsOfItsOwnKind(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		visit := f.visit("ada@example.com")
		wantStatus(t, visit.get("/web/tokens"), http.StatusOK)
		_, value, _ := strings.Cut(visit.cookie, "=")
		for _, header := range []string{bearer(value), "X-API-Key: " + value} {
			wantProblem(t, f.send("GET", "/settings/tokens", "", header), http.StatusUnauthorized, "unauthenticated")
		}
		session, err := f.IssueSession(t.Context(), "ada@example.com", 0)
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, f.send("GET", "/settings/tokens", "", bearer(session)), http.StatusOK)
		wantStatus(t, f.send("GET", "/web/tokens", "", "Cookie: kenbun_session="+session), http.StatusUnauthorized)
	})
}

// TestWebRevokesWhatATokenMade shows what a token made on the page that revokes
// it, also after it was revoked alone.
func TestWebRevokesWhatATokenMade(t *testing.T) {
	f := newWebFixture(t, Config{})
	first := f.user("ada@example.com", RoleMember)
	parent := decode[row](t, f.asked(first.Value, `{"name":"parent"}`))
	child := decode[row](t, f.asked(parent.Token, `{"name":"the child"}`))
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + parent.ID + "/revoke"
	if page := visit.get(path); !strings.Contains(page.body, "the child") || !strings.Contains(page.body, `name="descendants"`) {
		t.Errorf("the page does not show what the token made: %s", page.shown())
	}
	wantStatus(t, visit.submit(path, url.Values{}), http.StatusSeeOther)
	if f.works(parent.Token) || !f.works(child.Token) {
		t.Fatal("not the token alone was revoked")
	}
	if page := visit.get("/web/tokens?state=revoked"); !strings.Contains(page.body, "Revoke 1 made with it") {
		t.Errorf("the list does not show that a child lives: %s", page.shown())
	}
	if page := visit.get("/web/tokens"); !strings.Contains(page.body, "which is revoked") {
		t.Errorf("the list does not show that the parent is revoked: %s", page.shown())
	}
	wantStatus(t, visit.submit(path, url.Values{"descendants": {"yes"}}), http.StatusSeeOther)
	if f.works(child.Token) || !f.works(first.Value) {
		t.Error("not exactly the line was revoked")
	}
}

// TestH1_SessionEndsWithTheUser changes the user while the session goes on.
func TestH1_SessionEndsWithTheUser(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleAdmin)
		visit := f.visit("ada@example.com")
		if !strings.Contains(visit.get("/web/tokens/new").body, "write:scoring") {
			t.Error("an admin cannot choose write:scoring")
		}
		if err := f.SetRole(t.Context(), "ada@example.com", RoleViewer); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(visit.get("/web/tokens/new").body, "write:scoring") {
			t.Error("a viewer can choose write:scoring")
		}
		for _, c := range []struct {
			what   string
			change func() error
			status int
		}{
			{"suspended", func() error { return f.Suspend(t.Context(), "ada@example.com") }, http.StatusUnauthorized},
			{"restored", func() error { return f.Restore(t.Context(), "ada@example.com") }, http.StatusOK},
			{"removed", func() error { return f.RemoveMember(t.Context(), "ada@example.com", DefaultOrganization) }, http.StatusUnauthorized},
		} {
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
			if got := visit.get("/web/tokens"); got.status != c.status {
				t.Errorf("%s: status %d", c.what, got.status)
			}
		}
	})
}

func TestK6_SignOutAndTheEndOfTheSession(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	visit, other := f.visit("ada@example.com"), f.visit("ada@example.com")
	got := visit.post("/web/sign-out", visit.form("/web/tokens/new"))
	wantStatus(t, got, http.StatusOK)
	if !strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Error("the cookie stays")
	}
	wantStatus(t, visit.get("/web/tokens"), http.StatusUnauthorized)
	wantStatus(t, other.get("/web/tokens"), http.StatusOK)
	f.clock.advance(DefaultSessionLifetime)
	wantStatus(t, other.get("/web/tokens"), http.StatusUnauthorized)
}

func TestK6_FormsOfOthersAreRefused(t *testing.T) {
	f := newWebFixture(t, Config{})
	first := f.user("ada@example.com", RoleOwner)
	ada, again := f.visit("ada@example.com"), f.visit("ada@example.com")
	path := "/web/tokens/" + first.ID + "/revoke"
	own := ada.form(path)
	for name, c := range map[string]struct {
		values  url.Values
		headers []string
	}{
		"no token of the form":       {url.Values{"x": {"y"}}, nil},
		"that of another session":    {again.form(path), nil},
		"two":                        {url.Values{"csrf": {own.Get("csrf"), own.Get("csrf")}}, nil},
		"another site":               {own, []string{"Sec-Fetch-Site: cross-site"}},
		"another port of this host":  {own, []string{"Sec-Fetch-Site: same-site"}},
		"another origin":             {own, []string{"Origin: https://evil.example"}},
		"an origin that is a secret": {own, []string{"Origin: null"}},
	} {
		if got := ada.post(path, c.values, c.headers...); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	link := f.link("ada@example.com")
	if got := f.send("POST", link, "x=", formType, "Sec-Fetch-Site: cross-site"); got.status != http.StatusForbidden {
		t.Errorf("signed in from another site: status %d", got.status)
	}
	if got := f.send("POST", path, "csrf="+own.Get("csrf"), "Content-Type: text/plain", "Cookie: "+ada.cookie); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: status %d", got.status)
	}
	if !f.works(first.Value) {
		t.Fatal("one of them revoked the token")
	}
	wantStatus(t, ada.post(path, own, "Sec-Fetch-Site: same-origin", "Origin: "+f.url), http.StatusSeeOther)
	if f.works(first.Value) {
		t.Error("its own form did not revoke the token")
	}
}

// TestN8_NobodyElsesTokens lets an owner look for a member's token.
func TestN8_NobodyElsesTokens(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("owner@example.com", RoleOwner)
	theirs := f.user("ada@example.com", RoleMember)
	owner := f.visit("owner@example.com")
	if got := owner.get("/web/tokens?state=all"); strings.Contains(got.body, theirs.ID) || strings.Contains(got.body, theirs.Prefix) {
		t.Error("the table shows another user's token")
	}
	csrf := url.Values{"csrf": {owner.form("/web/tokens/new").Get("csrf")}, "name": {"x"}, "expiry": {"keep"}, "scope": {"all"}}
	unknown := "/web/tokens/" + domain.NewID("pat_")
	for _, rest := range []string{"", "/revoke", "/usage"} {
		got, of := owner.get("/web/tokens/"+theirs.ID+rest), owner.get(unknown+rest)
		if got.status != http.StatusNotFound || of.status != http.StatusNotFound {
			t.Errorf("GET …%s: %d, and %d of one that is not there", rest, got.status, of.status)
		}
	}
	for _, rest := range []string{"", "/revoke"} {
		wantStatus(t, owner.post("/web/tokens/"+theirs.ID+rest, csrf), http.StatusNotFound)
	}
	if !f.works(theirs.Value) {
		t.Error("the token was revoked")
	}
}
