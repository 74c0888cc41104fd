//go:build unix

package pages

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

func TestA9_OfTwoTabsExactlyOneShowsTheValue(t *testing.T) {
	h, c := newHouseAndBrowser(t, chromium.Options{})
	tabs := []*chromium.Tab{c.Tab(), c.Tab()}
	for range 3 {
		d := h.deliver(t.Context(), t, atLeisure)
		for _, b := range tabs {
			b.Open(d.address)
			b.MustShow(headingReady)
		}
		var both sync.WaitGroup
		for _, b := range tabs {
			both.Go(func() {
				if err := b.Try(chromedp.Click(chromedp.CSS("button[value=show]"))); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		shown := 0
		for _, b := range tabs {
			if b.MustShowOneOf(headingShown, headingNothing) == headingShown && strings.Contains(b.HTML(), d.token.Value.Reveal()) {
				shown++
			}
		}
		if shown != 1 {
			t.Errorf("%d tabs show the value", shown)
		}
		if got := d.wait(t); got.err != nil {
			t.Error(got.err)
		}
	}
}

// TestA11_ChromiumRefusesAForeignPagesForm is attacked by a page that knows the
// address, and the secret in the form as well.
func TestA11_ChromiumRefusesAForeignPagesForm(t *testing.T) {
	h, c := newHouseAndBrowser(t, chromium.Options{Foreign: true, Forbidden: "frame-ancestors 'none'"})
	d, a := h.deliver(t.Context(), t, atLeisure), h.ask(t.Context(), t, atLeisure)
	forms := map[string]string{
		d.address: `<input name="choice" value="show">`,
		a.address: `<input name="choice" value="agree">`,
	}
	page := template.Must(template.New("").Parse(`<!DOCTYPE html><title>attack</title>
<iframe id="frame" src="{{.Address}}"></iframe>
<form id="form" method="post" action="{{.Address}}"><input name="csrf" value="{{.CSRF}}">{{.Fields}}</form>
<iframe name="inner"></iframe><form id="hidden" method="post" target="inner" action="{{.Address}}"><input name="csrf" value="{{.CSRF}}">{{.Fields}}</form>
<a id="link" href="{{.Address}}">free tokens</a>
<script>window.opened = []; window.addEventListener("message", (e) => window.opened.push(e.data));</script>`))
	var csrf, target string
	var mu sync.Mutex
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		if err := page.Execute(w, map[string]any{"Address": target, "CSRF": csrf, "Fields": template.HTML(forms[target])}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(attacker.Close)

	b := c.Tab()
	for address := range forms {
		mu.Lock()
		target, csrf = address, formOf(t, address).Get("csrf")
		mu.Unlock()
		for _, origin := range []string{attacker.URL, strings.Replace(attacker.URL, "127.0.0.1", chromium.ForeignHost, 1)} {
			b.Open(origin)
			chromium.Evaluate[bool](b, `document.getElementById("hidden").submit(), true`)
			chromium.Evaluate[bool](b, `fetch(document.getElementById("form").action, {method: "POST", mode: "no-cors", body: new URLSearchParams(new FormData(document.getElementById("form")))}).then(() => true, () => true)`, chromedp.EvalAwaitPromise)
			if read := chromium.Evaluate[string](b, `fetch(document.getElementById("link").href).then((r) => r.text(), () => "nothing")`, chromedp.EvalAwaitPromise); read != "nothing" {
				t.Errorf("%s read %s", origin, read)
			}
			if seen := chromium.Evaluate[bool](b, `(() => { try { return document.getElementById("frame").contentDocument.body.innerText.length > 0 } catch { return false } })()`); seen {
				t.Errorf("%s sees into a frame with the page", origin)
			}
			chromium.Evaluate[bool](b, `document.getElementById("form").submit(), true`)
			b.MustShow(headingRefused)
			b.Open(origin)
			b.Click("#link")
			b.MustShow(headingRefused)
		}
	}
	d.mustWait(t)
	a.mustWait(t)
}

func TestA10_ChromiumUnderAForeignNameIsShownNothing(t *testing.T) {
	h, c := newHouseAndBrowser(t, chromium.Options{Foreign: true})
	d := h.deliver(t.Context(), t, atLeisure)
	b := c.Tab()
	b.Open(strings.Replace(d.address, "127.0.0.1", chromium.ForeignHost, 1))
	if got := b.Heading(); got != headingRefused || strings.Contains(b.HTML(), d.token.Prefix) {
		t.Errorf("under a foreign name the page shows %q", got)
	}
	// In the browser, all pages under the foreign name are of one origin: one can
	// send the form to the other.
	chromium.Evaluate[bool](b, fmt.Sprintf(`(() => {
		const form = document.createElement("form");
		form.method = "post";
		form.innerHTML = '<input name="csrf"><input name="choice" value="show"><p id="sent">';
		form.firstChild.value = %q;
		document.body.append(form);
		form.submit();
		return true;
	})()`, formOf(t, d.address).Get("csrf")))
	b.MustCome("another page", `document.getElementById("sent") === null`)
	if got := b.Heading(); got != headingRefused || strings.Contains(b.HTML(), d.token.Value.Reveal()) {
		t.Errorf("the form of a foreign name is answered with %q", got)
	}
	d.mustWait(t)
}
