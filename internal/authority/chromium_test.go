//go:build unix

package authority_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

// TestK6_LifeOfATokenByMouse makes, uses, changes, looks up and revokes one.
func TestK6_LifeOfATokenByMouse(t *testing.T) {
	h := newHouse(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	tab.Click("a.button.primary")
	tab.MustShow("Create a token")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "MCP Server - Work Laptop"))
	tab.Click("input[value='7']")
	tab.Click("input[value=some]")
	tab.Click("input[value='read:tokens']")
	tab.Click("form.token-form button.primary")
	tab.MustShow("Copy your token now")
	value := field(tab, "#value")
	tab.Click("#copy")
	tab.MustCome("the copy", `document.getElementById("said").textContent === "Copied"`)
	if got := chromium.Evaluate[string](tab, `navigator.clipboard.readText()`, chromedp.EvalAwaitPromise); got != value {
		t.Error("the clipboard holds something else")
	}
	if read, write := h.call("GET", "/settings/tokens", "", value), h.call("POST", "/settings/tokens", `{"name":"x"}`, value); read != http.StatusOK || write != http.StatusForbidden {
		t.Errorf("the token reads with %d and writes with %d", read, write)
	}

	tab.Click("a.button.plain")
	tab.MustShow(tableHeading)
	if text := tableText(tab); !strings.Contains(text, "MCP Server - Work Laptop") || !strings.Contains(text, "read:tokens") || !strings.Contains(text, "expires in 7 days") || strings.Contains(tab.HTML(), value) {
		t.Errorf("the table reads %q", text)
	}
	tab.Click(".links a")
	tab.MustShow("Edit a token")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), kb.End+" (old)"))
	tab.Click("input[value=never]")
	if !chromium.Evaluate[bool](tab, `document.getElementById("never-warning").checkVisibility()`) {
		t.Error("H6: nothing warns of a token that never expires")
	}
	tab.Click("form.token-form button.primary")
	tab.MustShow(tableHeading)
	if text := tableText(tab); !strings.Contains(text, "Work Laptop (old)") || strings.Contains(text, "expires in") {
		t.Errorf("after the change the table reads %q", text)
	}
	tab.Click(".links a:nth-of-type(2)")
	tab.MustShow("Usage of a token")
	tab.Do(chromedp.NavigateBack())
	tab.MustShow(tableHeading)

	tab.Click(".links a.danger")
	tab.MustShow("Revoke this token?")
	tab.Click("main a.button.plain")
	tab.MustShow(tableHeading)
	if status := h.call("GET", "/me", "", value); status != http.StatusOK {
		t.Errorf("status %d of a token that was kept", status)
	}
	tab.Click(".links a.danger")
	tab.MustShow("Revoke this token?")
	tab.Click("button.danger")
	tab.MustShow(tableHeading)
	if status := h.call("GET", "/me", "", value); status != http.StatusUnauthorized {
		t.Errorf("H7: status %d of a revoked token", status)
	}
	if text := tableText(tab); text != "" {
		t.Errorf("N6: the table shows %q", text)
	}
	tab.Click(".states a:nth-of-type(4)")
	tab.MustCome("the revoked token", `document.querySelector("tr.revoked") !== null`)
	tab.Click(".brand button")
	tab.MustShow("You are signed out")
	tab.Open(h.url + "/web/tokens")
	tab.MustShow("Sign in to see your tokens")
}

// TestS3_ChromiumShowsTheValueOnce loads the page again, goes back and on.
func TestS3_ChromiumShowsTheValueOnce(t *testing.T) {
	h := newHouse(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	tab.Open(h.url + "/web/tokens/new")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "once"))
	tab.Click("form.token-form button.primary")
	tab.MustShow("Copy your token now")
	value := field(tab, "#value")
	for _, again := range []struct {
		name string
		step chromedp.Action[chromedp.Void]
	}{
		{"reload", chromedp.Reload()},
		{"back", chromedp.NavigateBack()},
		{"forward", chromedp.NavigateForward()},
		{"the address", chromedp.Navigate(h.url + "/web/tokens/new")},
		{"the table", chromedp.Navigate(h.url + "/web/tokens?state=all")},
	} {
		if err := tab.Try(again.step); err != nil && again.name != "forward" {
			// A page that a form led to may be gone for good.
			t.Errorf("%s: %v", again.name, err)
		}
		if strings.Contains(tab.HTML(), value) {
			t.Errorf("%s shows the value again", again.name)
		}
	}
	if text := tableText(tab); strings.Count(text, "kbn_pat_") != 1 {
		t.Errorf("the table reads %q", text)
	}
}

// TestK6_LifeOfATokenByKeyboard never touches a mouse.
func TestK6_LifeOfATokenByKeyboard(t *testing.T) {
	h := newHouse(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	press := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			tab.Do(chromedp.KeyEvent(key))
		}
	}
	// tabTo goes on to what a selector finds, as a person does who looks where
	// the focus is.
	tabTo := func(selector string) {
		t.Helper()
		for range 60 {
			if chromium.Evaluate[bool](tab, `document.activeElement.matches("`+selector+`")`) {
				if !chromium.Evaluate[bool](tab, `document.activeElement.matches(":focus-visible")`) {
					t.Errorf("%s does not show that it has the focus", selector)
				}
				return
			}
			press(kb.Tab)
		}
		t.Fatalf("the keyboard does not reach %s", selector)
	}
	// The browser puts the focus on the first field when the page is there.
	focused := func(selector string) {
		t.Helper()
		tab.MustCome("the focus on "+selector, `document.activeElement.matches("`+selector+`")`)
	}
	tab.Open(h.link())
	tab.MustShow("Sign in to kenbun")
	focused("button.primary")
	press(kb.Enter)
	tab.MustShow(tableHeading)
	tabTo("a.button.primary")
	press(kb.Enter)
	tab.MustShow("Create a token")
	focused("input[name=name]")
	press("N", "i", "g", "h", "t")
	tabTo("input[name=expiry]")
	press(kb.ArrowUp) // from 30 days to 7
	tabTo("input[name=scope]")
	press(kb.ArrowDown)
	tabTo("input[value='read:leads']")
	press(" ")
	tabTo("form.token-form button.primary")
	press(kb.Enter)
	tab.MustShow("Copy your token now")
	value := field(tab, "#value")
	tabTo("#copy")
	press(" ")
	tab.MustCome("the copy", `document.getElementById("said").textContent === "Copied"`)
	tabTo("a.button.plain")
	press(kb.Enter)
	tab.MustShow(tableHeading)
	if text := tableText(tab); !strings.Contains(text, "Night") || !strings.Contains(text, "read:leads") || !strings.Contains(text, "expires in 7 days") {
		t.Errorf("the table reads %q", text)
	}
	tabTo(".links a")
	press(kb.Enter)
	tab.MustShow("Edit a token")
	focused("input[name=name]")
	press(kb.End, "l", "y")
	tabTo("form.token-form button.primary")
	press(kb.Enter)
	tab.MustShow(tableHeading)
	if text := tableText(tab); !strings.Contains(text, "Nightly") {
		t.Errorf("after the change the table reads %q", text)
	}
	tabTo("#q")
	press("n", "o", "t", " ", "o", "n", "e", kb.Enter) // no id has a space
	tab.MustCome("an empty table", `document.querySelector(".none") !== null`)
	tabTo(".states a")
	tab.Open(h.url + "/web/tokens")
	tabTo(".links a.danger")
	press(kb.Enter)
	tab.MustShow("Revoke this token?")
	tabTo("button.danger")
	press(kb.Enter)
	tab.MustShow(tableHeading)
	if status := h.call("GET", "/me", "", value); status != http.StatusUnauthorized {
		t.Errorf("status %d of a revoked token", status)
	}
	tabTo(".brand button")
	press(" ")
	tab.MustShow("You are signed out")
}

// TestK6_ChromiumWithoutScripts does what matters.
func TestK6_ChromiumWithoutScripts(t *testing.T) {
	h := newHouse(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	noScript(tab)
	h.signIn(tab)
	tab.Click("a.button.primary")
	tab.MustShow("Create a token")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "plain"))
	tab.Click("form.token-form button.primary")
	tab.MustShow("Copy your token now")
	value := field(tab, "#value")
	if chromium.Evaluate[bool](tab, `document.getElementById("copy").checkVisibility()`) {
		t.Error("a button that does nothing is shown")
	}
	tab.Open(h.url + "/web/tokens")
	tab.Click(".links a.danger")
	tab.MustShow("Revoke this token?")
	tab.Click("button.danger")
	tab.MustShow(tableHeading)
	if status := h.call("GET", "/me", "", value); status != http.StatusUnauthorized {
		t.Errorf("status %d of a revoked token", status)
	}
}

// TestK6_LinkTwiceInChromium opens a used link.
func TestK6_LinkTwiceInChromium(t *testing.T) {
	h := newHouse(t)
	browser := chromium.Start(t, chromium.Options{})
	link := h.link()
	first, second := browser.Tab(), browser.Tab()
	first.Open(link)
	first.MustShow("Sign in to kenbun")
	second.Open(link)
	second.MustShow("Sign in to kenbun")
	first.Click("button.primary")
	first.MustShow(tableHeading)
	second.Click("button.primary")
	second.MustShow("This link does not work any more")
	second.Open(link)
	second.MustShow("This link does not work any more")
	if cookies := chromium.Evaluate[string](first, `document.cookie`); cookies != "" {
		t.Error("a script can read the session")
	}
}

// TestK6_AnotherSiteCannotRevoke sends the form from a page of another origin of
// this machine, to which the browser counts it as the same site.
func TestK6_AnotherSiteCannotRevoke(t *testing.T) {
	h := newHouse(t)
	id, value := h.create("wanted", nil)
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		// csrf is what such a page would have to know.
		_, _ = w.Write([]byte(`<h1>Foreign</h1><form method="post" action="` + h.url + `/web/tokens/` + id + `/revoke"><input name="csrf" value="` + r.FormValue("csrf") + `"><button>Win a prize</button></form>
<iframe src="` + h.url + `/web/tokens"></iframe>`))
	}))
	t.Cleanup(foreign.Close)
	tab := chromium.Start(t, chromium.Options{Forbidden: "frame-ancestors"}).Tab()
	h.signIn(tab)
	tab.Open(h.url + "/web/tokens/" + id + "/revoke")
	token := field(tab, "main input[name=csrf]")
	for _, csrf := range []string{"", token} {
		tab.Open(foreign.URL + "/?csrf=" + csrf)
		tab.Click("button")
		tab.MustShow("That is not allowed")
		if status := h.call("GET", "/me", "", value); status != http.StatusOK {
			t.Fatal("another site revoked the token")
		}
	}
	// The browser sends the session along: it is the page that refuses.
	host, _, err := net.SplitHostPort(strings.TrimPrefix(foreign.URL, "http://"))
	if err != nil || host != "127.0.0.1" {
		t.Errorf("the foreign page is at %s", foreign.URL)
	}
}

// TestN11_BackShowsWhatIs revokes a token behind the page's back.
func TestN11_BackShowsWhatIs(t *testing.T) {
	h := newHouse(t)
	id, value := h.create("gone soon", nil)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	tab.Open(h.url + "/web/tokens/new")
	if status := h.call("DELETE", "/settings/tokens/"+id, "", value); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	tab.Do(chromedp.NavigateBack())
	tab.MustShow(tableHeading)
	tab.MustCome("the fresh table", `document.querySelector("table.tokens") === null`)
}
