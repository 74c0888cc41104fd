//go:build unix

package pages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

const (
	headingReady   = "A new kenbun token for you"
	headingShown   = "Copy your token now"
	headingNothing = "Nothing here any more"
	headingRefused = "This request was refused"
)

// newHouseAndBrowser makes pages and a browser that looks at them. Chromium itself
// outlives the test, and is not among what the pages leave behind.
func newHouseAndBrowser(t *testing.T, options chromium.Options) (*house, *chromium.Browser) {
	t.Helper()
	chromium.Launch(t)
	h := newHouse(t)
	return h, chromium.Start(t, options)
}

func newHouseAndTab(t *testing.T) (*house, *chromium.Tab) {
	t.Helper()
	h, browser := newHouseAndBrowser(t, chromium.Options{})
	return h, browser.Tab()
}

func TestA9_ChromiumShowsTheValueOnce(t *testing.T) {
	h, b := newHouseAndTab(t)
	d := h.deliver(t.Context(), t, atLeisure)
	value := d.token.Value.Reveal()
	b.Open(d.address)
	b.Do(chromedp.Reload())
	if got := b.Heading(); got != headingReady || strings.Contains(b.HTML(), value) {
		t.Fatalf("before the click the page shows %q", got)
	}
	b.Click("button[value=show]")
	b.MustShow(headingShown)
	if got := chromium.Evaluate[string](b, `document.getElementById("value").value`); got != value {
		t.Error("the field does not hold the value")
	}
	if !chromium.Evaluate[bool](b, `document.getElementById("value").readOnly`) {
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
		b.Do(again.step)
		if strings.Contains(b.HTML(), value) {
			t.Errorf("%s shows the value again", again.name)
		}
	}
	b.Open(d.address)
	b.MustShow(headingNothing)
}

// TestA46_ChromiumComesByTheFileToThePage opens what the browser's command is
// given, and does what the user does then.
func TestA46_ChromiumComesByTheFileToThePage(t *testing.T) {
	chromium.Launch(t)
	h := newHouse(t)
	file, end := startDelivery(t, h, atLeisure)
	arrival := arrivalAt(t, file)
	b := chromium.Start(t, chromium.Options{File: file}).Tab()
	b.Open(file)
	b.MustShow(headingReady)
	address := chromium.Evaluate[string](b, "location.href")
	if address == arrival || !strings.HasPrefix(address, "http://"+h.site.host+"/") {
		t.Errorf("the tab is at %s", address)
	}
	waitUntilGone(t, strings.TrimPrefix(file, "file://"))
	b.Do(chromedp.Reload())
	b.Click("button[value=show]")
	b.MustShow(headingShown)
	if err := mustReceive(t, end); err != nil {
		t.Error(err)
	}
	b.Open(arrival)
	b.MustShow(headingNothing)
}

// TestA9_ChromiumKeepsNoValueForTheBackButton leaves the page and comes back.
func TestA9_ChromiumKeepsNoValueForTheBackButton(t *testing.T) {
	h, b := newHouseAndTab(t)
	d, other := h.deliver(t.Context(), t, atLeisure), h.deliver(t.Context(), t, atLeisure)
	b.Open(d.address)
	b.Click("button[value=show]")
	b.MustShow(headingShown)
	b.Open(other.address)
	b.MustShow(headingReady)
	for range 2 {
		// That there is nothing in the cache is as it should be.
		if err := b.Try(chromedp.NavigateBack()); err != nil && !strings.Contains(err.Error(), "ERR_CACHE_MISS") {
			t.Fatal(err)
		}
		if strings.Contains(b.HTML(), d.token.Value.Reveal()) {
			t.Error("going back shows the value again")
		}
	}
}

func TestA9_ChromiumTakesADoubleClickForOne(t *testing.T) {
	h, b := newHouseAndTab(t)
	for range 5 {
		d := h.deliver(t.Context(), t, atLeisure)
		b.Open(d.address)
		b.Do(chromedp.DoubleClick(chromedp.CSS("button[value=show]")))
		b.MustShow(headingShown)
		if got := d.wait(t); got.err != nil {
			t.Error(got.err)
		}
	}
}

// TestChromiumSendsAFormOnce counts what the page lets through, since some
// browsers stop a second click themselves.
func TestChromiumSendsAFormOnce(t *testing.T) {
	h, b := newHouseAndTab(t)
	a := h.ask(t.Context(), t, atLeisure)
	b.Open(a.address)
	if sent := chromium.Evaluate[int](b, `(() => {
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
	h, b := newHouseAndTab(t)
	var checks atomic.Int32
	goOn := make(chan struct{})
	offer := h.connect(t, func(ctx context.Context, _ client.Secret) error {
		checks.Add(1)
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return nil
	})
	b.Open(offer.URL)
	// While a page waits for the next one, Chromium may leave a script waiting, too:
	// let the page itself note what it shows then.
	chromium.Evaluate[bool](b, `(() => {
		const button = document.querySelector("button.primary");
		new MutationObserver(() => sessionStorage.setItem("shown", button.textContent)).observe(button, {childList: true});
		return true;
	})()`)
	b.Do(
		chromedp.SendKeys(chromedp.CSS("#token"), newToken().Value.Reveal()),
		chromedp.DoubleClick(chromedp.CSS("button.primary")),
	)
	close(goOn)
	b.MustShow("You are connected")
	if got := chromium.Evaluate[string](b, `sessionStorage.getItem("shown") ?? "nothing new"`); got != "Checking…" {
		t.Errorf("while it waits the button shows %q", got)
	}
	if checks.Load() != 1 {
		t.Errorf("the token was checked %d times", checks.Load())
	}
}

// TestChromiumAsksAnewForAKeptPage tells a page that it comes from the browser's
// memory, which Chromium does not do with pages that may not be stored.
func TestChromiumAsksAnewForAKeptPage(t *testing.T) {
	h, b := newHouseAndTab(t)
	var tries atomic.Int32
	offer := h.connect(t, func(context.Context, client.Secret) error {
		tries.Add(1)
		return errors.New("not this one")
	})
	b.Open(offer.URL)
	b.Do(chromedp.SendKeys(chromedp.CSS("#token"), newToken().Value.Reveal()))
	b.Click("button.primary")
	b.MustCome("what is wrong", `document.getElementById("problem") !== null`)
	chromium.Evaluate[bool](b, `document.querySelector("form").classList.add("sent"), window.dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}))`)
	b.MustCome("a fresh form", `document.getElementById("problem") === null && document.querySelector("form:not(.sent)") !== null`)
	if n := tries.Load(); n != 1 {
		t.Errorf("the token was tried %d times", n)
	}
}

func TestChromiumCopies(t *testing.T) {
	h, b := newHouseAndTab(t)
	d := h.deliver(t.Context(), t, atLeisure)
	b.Open(d.address)
	b.Click("button[value=show]")
	b.MustShow(headingShown)
	if got := chromium.Evaluate[string](b, `document.getElementById("said").ariaLive`); got != "polite" {
		t.Errorf("what is said is announced %q", got)
	}
	b.Click("#copy")
	b.Do(chromedp.Poll[chromedp.Void](`document.getElementById("said").innerText === "Copied"`))
	if got := chromium.Evaluate[string](b, `navigator.clipboard.readText()`, chromedp.EvalAwaitPromise); got != d.token.Value.Reveal() {
		t.Error("the clipboard does not hold the value")
	}
}

func TestR37_ChromiumDecides(t *testing.T) {
	h, b := newHouseAndTab(t)
	for choice, want := range map[string]string{"agree": "You agreed", "leave": "You said no"} {
		a := h.ask(t.Context(), t, atLeisure)
		b.Open(a.address)
		b.MustShow(aQuestion().Title)
		a.mustWait(t)
		b.Click("button[value=" + choice + "]")
		b.MustShow(want)
		err := mustReceive(t, a.end)
		if (err == nil) != (choice == "agree") {
			t.Errorf("after %q Decide returned %v", choice, err)
		}
		b.Do(chromedp.Reload())
		b.MustShow(headingNothing)
	}
}

// TestChromiumByKeyboardAlone goes through every page without a mouse.
func TestChromiumByKeyboardAlone(t *testing.T) {
	h, b := newHouseAndTab(t)
	press := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			b.Do(chromedp.KeyEvent(key))
		}
	}
	focus := func() string {
		return chromium.Evaluate[string](b, `document.activeElement.value ?? document.activeElement.tagName`)
	}

	// What is typed when the question comes up decides nothing.
	a := h.ask(t.Context(), t, atLeisure)
	b.Open(a.address)
	press(kb.Enter, " ", "y", kb.Enter)
	b.MustShow(aQuestion().Title)
	a.mustWait(t)
	press(kb.Tab)
	if got := focus(); got != "leave" {
		t.Errorf("the first stop is %q, want the button that changes nothing", got)
	}
	if got := chromium.Evaluate[string](b, `getComputedStyle(document.activeElement).outlineStyle`); got != "solid" {
		t.Errorf("the focus is shown by an outline that is %q", got)
	}
	press(kb.Tab, kb.Enter)
	b.MustShow("You agreed")
	if err := mustReceive(t, a.end); err != nil {
		t.Error(err)
	}
	a = h.ask(t.Context(), t, atLeisure)
	b.Open(a.address)
	press(kb.Tab, " ")
	b.MustShow("You said no")

	d := h.deliver(t.Context(), t, atLeisure)
	b.Open(d.address)
	press(kb.Enter, " ")
	b.MustShow(headingReady)
	press(kb.Tab, " ")
	b.MustShow(headingShown)
	press(kb.Tab)
	if got := chromium.Evaluate[string](b, `getSelection().toString()`); got != d.token.Value.Reveal() {
		t.Error("the value is not selected when its field has the focus")
	}
	press(kb.Tab, kb.Enter)
	b.Do(chromedp.Poll[chromedp.Void](`document.getElementById("said").innerText === "Copied"`))
	if got := d.wait(t); got.err != nil {
		t.Error(got.err)
	}

	d = h.deliver(t.Context(), t, atLeisure)
	b.Open(d.address)
	press(kb.Tab, kb.Tab, kb.Enter)
	b.MustShow("No token was made")

	pat := newToken().Value
	offer := h.connect(t, func(_ context.Context, got client.Secret) error {
		if !got.Equal(pat) {
			return fmt.Errorf("kenbun does not know this token")
		}
		return nil
	})
	const focused = `document.activeElement.id === "token"`
	b.Open(offer.URL)
	b.MustCome("the focus on the field", focused)
	press("x", "y", kb.Enter)
	b.Do(chromedp.WaitVisible(chromedp.CSS("#problem")))
	b.MustCome("the focus on the field after a mistake", focused)
	b.Do(chromedp.SendKeys(chromedp.CSS("#token"), pat.Reveal()))
	press(kb.Enter)
	b.MustShow("You are connected")
}

func TestChromiumFindsNoPageAfterTheEnd(t *testing.T) {
	h, b := newHouseAndTab(t)
	d := h.deliver(t.Context(), t, atLeisure)
	b.Open(d.address)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Try(chromedp.Navigate(d.address)); err == nil || !strings.Contains(err.Error(), "ERR_CONNECTION_REFUSED") {
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
	h, b := newHouseAndTab(t)
	d := h.deliver(t.Context(), t, atLeisure)
	noScript(t, b)
	b.Open(d.address)
	b.Click("button[value=show]")
	b.Do(chromedp.WaitVisible(chromedp.CSS("#value")))
	if got := chromium.Run(b, chromedp.Value(chromedp.CSS("#value"))); got != d.token.Value.Reveal() {
		t.Error("the field does not hold the value")
	}
	b.Do(chromedp.WaitNotVisible(chromedp.CSS("#copy")))
}

// longest is a question with the longest texts that there can be.
func longest() approval.Question {
	q := aQuestion()
	q.Facts[0].Value = strings.Repeat("W", 100)
	q.Facts = append(q.Facts, approval.Fact{Label: strings.Repeat("Label", 4), Value: strings.Repeat("word ", 60)})
	return q
}
