//go:build unix

package authority_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

const focusedID = `document.activeElement.id`

// TestK6_MistakesAreToldWhereTheFocusIs follows the list of what is wrong by
// keyboard, also where no field for text is among it.
func TestK6_MistakesAreToldWhereTheFocusIs(t *testing.T) {
	h := newHouse(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	for _, c := range []struct {
		name    string
		fill    func()
		says    string
		targets []string
	}{
		{"nothing filled in", func() {
			tab.Click("input[value=date]")
			tab.Click("input[value=some]")
		}, "The name is required", []string{"name", "expires", "permissions"}},
		{"no permission", func() {
			tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "x"))
			tab.Click("input[value=some]")
		}, "Choose at least one permission", []string{"permissions"}},
		{"no expiry", func() {
			tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "x"))
			chromium.Evaluate[bool](tab, `document.querySelector("input[name=expiry]:checked").checked = false, true`)
		}, "Choose when the token expires.", []string{"expires"}},
	} {
		tab.Open(h.url + "/web/tokens/new")
		c.fill()
		tab.Click("form.token-form button.primary")
		tab.MustCome("the focus on what is wrong: "+c.name, focusedID+` === "problems"`)
		if said := chromium.Evaluate[string](tab, `document.activeElement.innerText`); !strings.HasPrefix(said, "Nothing was created yet.") || !strings.Contains(said, c.says) {
			t.Errorf("%s: the page says %q", c.name, said)
		}
		for i, target := range c.targets {
			chromium.Evaluate[bool](tab, `document.getElementById("problems").focus(), true`)
			for range i + 1 {
				tab.Do(chromedp.KeyEvent(kb.Tab))
			}
			tab.Do(chromedp.KeyEvent(kb.Enter))
			tab.MustCome("the way to "+target, `location.hash === "#`+target+`-part"`)
			tab.Do(chromedp.KeyEvent(kb.Tab))
			if got := chromium.Evaluate[string](tab, `document.activeElement.closest(".part")?.id ?? ""`); got != target+"-part" {
				t.Errorf("%s: the link to %s leads to %q", c.name, target, got)
			}
		}
	}
}

// TestK6_TheLimitIsNoMistakeInAField reaches the limit of active tokens.
func TestK6_TheLimitIsNoMistakeInAField(t *testing.T) {
	h := newHouse(t)
	for range authority.DefaultTokenLimit {
		h.create("one of many", nil)
	}
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	tab.Open(h.url + "/web/tokens/new")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "one too many"))
	tab.Click("form.token-form button.primary")
	tab.MustCome("the focus on what is wrong", focusedID+` === "problems"`)
	if said := chromium.Evaluate[string](tab, `document.activeElement.innerText`); !strings.Contains(said, "limit of active tokens") || strings.Contains(said, "field") {
		t.Errorf("the page says %q", said)
	}
}

// TestS5_WhatWasDoneIsToldWhereTheFocusIs reads what a screen reader begins with
// after a form.
func TestS5_WhatWasDoneIsToldWhereTheFocusIs(t *testing.T) {
	h := newHouse(t)
	id, _ := h.create("Laptop", nil)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	for _, c := range []struct{ path, button, want string }{
		{"", "form.token-form button.primary", "“Laptop” is saved."},
		{"/revoke", "button.danger", "“Laptop” is revoked. Whatever used it has lost access."},
	} {
		tab.Open(h.url + "/web/tokens/" + id + c.path)
		tab.Click(c.button)
		tab.MustShow(tableHeading)
		tab.MustCome("the focus on what was done", `document.activeElement.getAttribute("role") === "status"`)
		if said := chromium.Evaluate[string](tab, `document.activeElement.innerText`); said != c.want {
			t.Errorf("the page says %q", said)
		}
	}
}

// TestK6_NamesReadInTheirOwnDirection measures where the parts of a name in
// Hebrew stand: its first word is the rightmost.
func TestK6_NamesReadInTheirOwnDirection(t *testing.T) {
	h := newHouse(t)
	id, _ := h.create("מחשב נייד (2025) kbn", nil)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	// The Latin word at the end stands left of the first Hebrew letter, and what
	// holds the name begins where its neighbours begin.
	const ordered = `((e) => { const text = document.createTreeWalker(e, NodeFilter.SHOW_TEXT).nextNode(); const at = (i) => { const r = new Range(); r.setStart(text, i); r.setEnd(text, i + 1); return r.getBoundingClientRect().left; }; const first = text.data.indexOf("מ"); return at(text.data.indexOf("kbn")) < at(first); })`
	const leftmost = `((e, neighbour) => { const left = (n) => { const r = new Range(); r.selectNodeContents(n); return r.getBoundingClientRect().left; }; return Math.abs(left(e) - left(neighbour)) < 3; })`
	for _, c := range []struct{ path, name, neighbour string }{
		{"", ".token", ".prefix"},
		{"?saved=" + id, ".done bdi", ""},
		{"/" + id + "/revoke", ".facts td", ".facts tr:nth-of-type(2) td"},
		{"/" + id + "/usage", ".facts td", ".facts tr:nth-of-type(2) td"},
	} {
		tab.Open(h.url + "/web/tokens" + c.path)
		if !chromium.Evaluate[bool](tab, ordered+`(document.querySelector("`+c.name+`"))`) {
			t.Errorf("%s: the name reads in the wrong order", c.path)
		}
		if c.neighbour != "" && !chromium.Evaluate[bool](tab, leftmost+`(document.querySelector("`+c.name+`"), document.querySelector("`+c.neighbour+`"))`) {
			t.Errorf("%s: the name stands apart from what belongs to it", c.path)
		}
	}
	tab.Open(h.url + "/web/tokens/" + id)
	if got := chromium.Evaluate[string](tab, `getComputedStyle(document.getElementById("name")).direction`); got != "rtl" {
		t.Errorf("the field's direction is %s", got)
	}
}

// TestK6_AFormOutlivesItsSession ends the session while a form is filled in, and
// signs in again in another tab.
func TestK6_AFormOutlivesItsSession(t *testing.T) {
	h := newHouse(t)
	id, value := h.create("Laptop", nil)
	browser := chromium.Start(t, chromium.Options{})
	for _, c := range []struct{ path, heading, nothing string }{
		{"/new", "Create a token", "Nothing was created yet."},
		{"/" + id, "Edit a token", "Nothing was changed yet."},
	} {
		tab, other := browser.Tab(), browser.Tab()
		h.signIn(tab)
		tab.Open(h.url + "/web/tokens" + c.path)
		tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), kb.End+" typed \"with\" <care>"))
		tab.Click("input[value='60']")
		tab.Click("input[value=some]")
		tab.Click("input[value='read:leads']")
		other.Open(h.url + "/web/tokens")
		other.Click(".brand button")
		other.MustShow("You are signed out")
		tab.Click("form.token-form button.primary")
		tab.MustShow("Your session has ended")
		// Too early, it only says so again.
		tab.Click("button.primary")
		tab.MustShow("Your session has ended")
		h.signIn(other)
		tab.Click("button.primary")
		tab.MustShow(c.heading)
		if said := chromium.Evaluate[string](tab, `document.getElementById("problems").innerText`); !strings.HasPrefix(said, c.nothing) {
			t.Errorf("%s: the page says %q", c.path, said)
		}
		got := chromium.Evaluate[string](tab, `[document.getElementById("name").value, ...[...document.querySelectorAll("main input:checked")].map((e) => e.value)].join("|")`)
		if !strings.HasSuffix(got, "typed \"with\" <care>|60|some|read:leads") {
			t.Errorf("%s: of what was typed there is %q", c.path, got)
		}
		tab.Click("form.token-form button.primary")
		tab.MustShowOneOf("Copy your token now", tableHeading)
	}
	if status := h.call("GET", "/settings/tokens", "", value); status != http.StatusForbidden {
		t.Errorf("status %d of a token that was narrowed", status)
	}
}

// TestK6_AStoppedFormCanBeSentAgain stops the browser while the API takes its
// time.
func TestK6_AStoppedFormCanBeSentAgain(t *testing.T) {
	h := newHouse(t)
	behind, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.Host = r.In.Host
	}}
	asked := make(chan struct{}, 1)
	var slow atomic.Bool
	slow.Store(true)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/web/tokens/new" && slow.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the browser leave
			asked <- struct{}{}
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	h.url = front.URL
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	tab.Open(h.url + "/web/tokens/new")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "patience"))
	// The browser answers no script while it waits for the page.
	chromium.Evaluate[bool](tab, `((button) => { button.click(); button.click(); return true; })(document.querySelector("form.token-form button.primary"))`)
	<-asked
	slow.Store(false)
	tab.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error { // as Escape does
		_, err := chromedp.Call(ctx, page.StopLoading, struct{}{})
		return err
	}))
	tab.MustCome("a form that can be sent", `document.querySelector("form.token-form:not(.sent)") !== null`)
	tab.Click("form.token-form button.primary")
	tab.MustShow("Copy your token now")
}
