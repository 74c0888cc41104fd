//go:build unix

package human

import (
	"context"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

const (
	headingReady   = "Your new kenbun token is ready"
	headingShown   = "Copy your token now"
	headingNothing = "Nothing here any more"
	headingRefused = "This request was refused"
)

func TestA9_ChromiumShowsTheValueOnce(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	d := h.deliver(t.Context(), t, time.Minute)
	value := d.token.Value.Reveal()
	b.open(d.address)
	b.do(chromedp.Reload())
	if got := b.heading(); got != headingReady || strings.Contains(b.html(), value) {
		t.Fatalf("before the click the page shows %q", got)
	}
	b.click("button[value=show]")
	b.mustShow(headingShown)
	if got := evaluate[string](b, `document.getElementById("value").value`); got != value {
		t.Error("the field does not hold the value")
	}
	if !evaluate[bool](b, `document.getElementById("value").readOnly`) {
		t.Error("the field can be changed")
	}
	if got := d.wait(t); got.err != nil {
		t.Error(got.err)
	}
	for _, again := range []struct {
		name string
		step chromedp.Action[chromedp.Void]
	}{
		{"reload", chromedp.Reload()},
		{"the address", chromedp.Navigate(d.address)},
		{"back", chromedp.NavigateBack()},
		{"forward", chromedp.NavigateForward()},
	} {
		b.do(again.step)
		if strings.Contains(b.html(), value) {
			t.Errorf("%s shows the value again", again.name)
		}
	}
	b.open(d.address)
	b.mustShow(headingNothing)
}

// TestA9_ChromiumKeepsNoValueForTheBackButton leaves the page and comes back.
func TestA9_ChromiumKeepsNoValueForTheBackButton(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	d, other := h.deliver(t.Context(), t, time.Minute), h.deliver(t.Context(), t, time.Minute)
	b.open(d.address)
	b.click("button[value=show]")
	b.mustShow(headingShown)
	b.open(other.address)
	b.mustShow(headingReady)
	for range 2 {
		// That there is nothing in the cache is as it should be.
		if err := chromedp.Do(b.ctx, chromedp.NavigateBack()); err != nil && !strings.Contains(err.Error(), "ERR_CACHE_MISS") {
			t.Fatal(err)
		}
		if strings.Contains(b.html(), d.token.Value.Reveal()) {
			t.Error("going back shows the value again")
		}
	}
}

func TestA9_ChromiumTakesADoubleClickForOne(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	for range 5 {
		d := h.deliver(t.Context(), t, time.Minute)
		b.open(d.address)
		b.do(chromedp.DoubleClick(chromedp.CSS("button[value=show]")))
		b.mustShow(headingShown)
		if got := d.wait(t); got.err != nil {
			t.Error(got.err)
		}
	}
}

// TestChromiumSendsAFormOnce counts what the page lets through, since some
// browsers stop a second click themselves.
func TestChromiumSendsAFormOnce(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	a := h.ask(t.Context(), t, time.Minute)
	b.open(a.address)
	if sent := evaluate[int](b, `(() => {
		let sent = 0;
		const form = document.forms[0];
		form.addEventListener("submit", (event) => {
			if (!event.defaultPrevented) sent++;
			event.preventDefault();
		});
		for (let i = 0; i < 3; i++) form.requestSubmit(form.querySelector("button"));
		return sent;
	})()`); sent != 1 {
		t.Errorf("three clicks send the form %d times", sent)
	}
	a.mustWait(t)
}

// TestChromiumTakesADoubleClickForOneWhileItWaits makes the answer to the first
// click slow: a second request would drop it.
func TestChromiumTakesADoubleClickForOneWhileItWaits(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	var checks atomic.Int32
	goOn := make(chan struct{})
	offer := h.connect(t, func(context.Context, client.Secret) error {
		checks.Add(1)
		<-goOn
		return nil
	})
	b.open(offer.URL)
	b.do(
		chromedp.SendKeys(chromedp.CSS("#token"), newToken().Value.Reveal()),
		chromedp.DoubleClick(chromedp.CSS("button.primary")),
	)
	if got := b.html(); !strings.Contains(got, "Checking…") {
		t.Errorf("while it waits the page shows %s", got)
	}
	close(goOn)
	b.mustShow("You are connected")
	if checks.Load() != 1 {
		t.Errorf("the token was checked %d times", checks.Load())
	}
}

func TestA9_OfTwoTabsExactlyOneShowsTheValue(t *testing.T) {
	h := newHouse(t)
	c := newChromium(t)
	tabs := []*tab{c.tab(), c.tab()}
	for range 3 {
		d := h.deliver(t.Context(), t, time.Minute)
		for _, b := range tabs {
			b.open(d.address)
			b.mustShow(headingReady)
		}
		var both sync.WaitGroup
		for _, b := range tabs {
			both.Go(func() {
				if err := chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("button[value=show]"))); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		shown := 0
		for _, b := range tabs {
			if b.mustShowOneOf(headingShown, headingNothing) == headingShown && strings.Contains(b.html(), d.token.Value.Reveal()) {
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

func TestChromiumCopies(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	d := h.deliver(t.Context(), t, time.Minute)
	b.open(d.address)
	b.click("button[value=show]")
	b.mustShow(headingShown)
	if got := evaluate[string](b, `document.getElementById("said").ariaLive`); got != "polite" {
		t.Errorf("what is said is announced %q", got)
	}
	b.click("#copy")
	b.do(chromedp.Poll[chromedp.Void](`document.getElementById("said").innerText === "Copied"`))
	if got := evaluate[string](b, `navigator.clipboard.readText()`, chromedp.EvalAwaitPromise); got != d.token.Value.Reveal() {
		t.Error("the clipboard does not hold the value")
	}
}

func TestR37_ChromiumDecides(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	for choice, want := range map[string]string{"agree": "You agreed", "leave": "You said no"} {
		a := h.ask(t.Context(), t, time.Minute)
		b.open(a.address)
		b.mustShow(aQuestion().Title)
		a.mustWait(t)
		b.click("button[value=" + choice + "]")
		b.mustShow(want)
		err := mustReceive(t, a.end)
		if (err == nil) != (choice == "agree") {
			t.Errorf("after %q Decide returned %v", choice, err)
		}
		b.do(chromedp.Reload())
		b.mustShow(headingNothing)
	}
}

// TestChromiumByKeyboardAlone goes through every page without a mouse.
func TestChromiumByKeyboardAlone(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	press := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			b.do(chromedp.KeyEvent(key))
		}
	}
	focus := func() string {
		return evaluate[string](b, `document.activeElement.value ?? document.activeElement.tagName`)
	}

	// What is typed when the question comes up decides nothing.
	a := h.ask(t.Context(), t, time.Minute)
	b.open(a.address)
	press(kb.Enter, " ", "y", kb.Enter)
	b.mustShow(aQuestion().Title)
	a.mustWait(t)
	press(kb.Tab)
	if got := focus(); got != "leave" {
		t.Errorf("the first stop is %q, want the button that changes nothing", got)
	}
	if got := evaluate[string](b, `getComputedStyle(document.activeElement).outlineStyle`); got != "solid" {
		t.Errorf("the focus is shown by an outline that is %q", got)
	}
	press(kb.Tab, kb.Enter)
	b.mustShow("You agreed")
	if err := mustReceive(t, a.end); err != nil {
		t.Error(err)
	}
	a = h.ask(t.Context(), t, time.Minute)
	b.open(a.address)
	press(kb.Tab, " ")
	b.mustShow("You said no")

	d := h.deliver(t.Context(), t, time.Minute)
	b.open(d.address)
	press(kb.Enter, " ")
	b.mustShow(headingReady)
	press(kb.Tab, " ")
	b.mustShow(headingShown)
	press(kb.Tab)
	if got := evaluate[string](b, `getSelection().toString()`); got != d.token.Value.Reveal() {
		t.Error("the value is not selected when its field has the focus")
	}
	press(kb.Tab, kb.Enter)
	b.do(chromedp.Poll[chromedp.Void](`document.getElementById("said").innerText === "Copied"`))
	if got := d.wait(t); got.err != nil {
		t.Error(got.err)
	}

	d = h.deliver(t.Context(), t, time.Minute)
	b.open(d.address)
	press(kb.Tab, kb.Tab, kb.Enter)
	b.mustShow("The token is thrown away")

	pat := newToken().Value
	offer := h.connect(t, func(_ context.Context, got client.Secret) error {
		if !got.Equal(pat) {
			return fmt.Errorf("kenbun does not know this token")
		}
		return nil
	})
	b.open(offer.URL)
	press("x", "y", kb.Enter)
	b.do(chromedp.WaitVisible(chromedp.CSS("#problem")))
	if got := evaluate[string](b, `document.activeElement.id`); got != "token" {
		t.Errorf("after a mistake the focus is on %q", got)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), pat.Reveal()))
	press(kb.Enter)
	b.mustShow("You are connected")
}

// TestA11_ChromiumRefusesAForeignPagesForm is attacked by a page that knows the
// address, and the secret in the form as well.
func TestA11_ChromiumRefusesAForeignPagesForm(t *testing.T) {
	h := newHouse(t)
	c := newChromium(t)
	c.foreign, c.forbidden = "evil.test", "frame-ancestors 'none'"
	d, a := h.deliver(t.Context(), t, time.Minute), h.ask(t.Context(), t, time.Minute)
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

	b := c.tab()
	for address := range forms {
		mu.Lock()
		target, csrf = address, formOf(t, address).Get("csrf")
		mu.Unlock()
		for _, origin := range []string{attacker.URL, strings.Replace(attacker.URL, "127.0.0.1", "evil.test", 1)} {
			b.open(origin)
			evaluate[bool](b, `document.getElementById("hidden").submit(), true`)
			evaluate[bool](b, `fetch(document.getElementById("form").action, {method: "POST", mode: "no-cors", body: new URLSearchParams(new FormData(document.getElementById("form")))}).then(() => true, () => true)`, chromedp.EvalAwaitPromise)
			if read := evaluate[string](b, `fetch(document.getElementById("link").href).then((r) => r.text(), () => "nothing")`, chromedp.EvalAwaitPromise); read != "nothing" {
				t.Errorf("%s read %s", origin, read)
			}
			if seen := evaluate[bool](b, `(() => { try { return document.getElementById("frame").contentDocument.body.innerText.length > 0 } catch { return false } })()`); seen {
				t.Errorf("%s sees into a frame with the page", origin)
			}
			evaluate[bool](b, `document.getElementById("form").submit(), true`)
			b.mustShow(headingRefused)
			b.open(origin)
			b.click("#link")
			b.mustShow(headingRefused)
		}
	}
	d.mustWait(t)
	a.mustWait(t)
}

func TestA10_ChromiumUnderAForeignNameIsShownNothing(t *testing.T) {
	h := newHouse(t)
	c := newChromium(t)
	c.foreign = "evil.test"
	d := h.deliver(t.Context(), t, time.Minute)
	b := c.tab()
	b.open(strings.Replace(d.address, "127.0.0.1", "evil.test", 1))
	if got := b.heading(); got != headingRefused || strings.Contains(b.html(), d.token.Prefix) {
		t.Errorf("under a foreign name the page shows %q", got)
	}
	// In the browser, all pages under the foreign name are of one origin: one can
	// send the form to the other.
	evaluate[bool](b, fmt.Sprintf(`(() => {
		const form = document.createElement("form");
		form.method = "post";
		form.innerHTML = '<input name="csrf"><input name="choice" value="show"><p id="sent">';
		form.firstChild.value = %q;
		document.body.append(form);
		form.submit();
		return true;
	})()`, formOf(t, d.address).Get("csrf")))
	b.do(chromedp.WaitNotPresent(chromedp.CSS("#sent")))
	if got := b.heading(); got != headingRefused || strings.Contains(b.html(), d.token.Value.Reveal()) {
		t.Errorf("the form of a foreign name is answered with %q", got)
	}
	d.mustWait(t)
}

func TestChromiumFindsNoPageAfterTheEnd(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	d := h.deliver(t.Context(), t, time.Minute)
	b.open(d.address)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(b.ctx, chromedp.Navigate(d.address)); err == nil || !strings.Contains(err.Error(), "ERR_CONNECTION_REFUSED") {
		t.Errorf("the page is found: %v", err)
	}
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	if connection, err := net.Dial("tcp", address.Host); err == nil {
		connection.Close()
		t.Error("the port still takes connections")
	}
}

// TestChromiumWithoutScript needs no script to show a token.
func TestChromiumWithoutScript(t *testing.T) {
	h := newHouse(t)
	b := newChromium(t).tab()
	d := h.deliver(t.Context(), t, time.Minute)
	noScript(b)
	b.open(d.address)
	b.click("button[value=show]")
	b.do(chromedp.WaitVisible(chromedp.CSS("#value")))
	if got := must(b, func(ctx context.Context) (string, error) {
		return chromedp.Run(ctx, chromedp.Value(chromedp.CSS("#value")))
	}); got != d.token.Value.Reveal() {
		t.Error("the field does not hold the value")
	}
	b.do(chromedp.WaitNotVisible(chromedp.CSS("#copy")))
}

// longest is a question with the longest texts that there can be.
func longest() tools.Question {
	q := aQuestion()
	q.Facts[0].Value = strings.Repeat("W", 100)
	q.Facts = append(q.Facts, tools.Fact{Label: strings.Repeat("Label", 4), Value: strings.Repeat("word ", 60)})
	return q
}
