//go:build unix

package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

// enter types into the field that has the focus by itself, and sends it by
// keyboard.
func enter(t *testing.T, b *chromium.Tab, token string) {
	t.Helper()
	b.MustCome("the focus on the field", `document.readyState === "complete" && document.hasFocus() && document.activeElement.id === "token"`)
	b.Do(chromedp.KeyEvent(token + kb.Enter))
}

// fits fails if the page is wider than a small window.
func fits(t *testing.T, b *chromium.Tab, what string) {
	t.Helper()
	if width := chromium.Evaluate[int](b, `document.documentElement.scrollWidth`); width > 360 {
		t.Errorf("%s is %d pixels wide in a window of 360", what, width)
	}
}

func TestClaim_PageInChromium(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	b := chromium.Start(t, chromium.Options{Origin: h.url, Width: 360}).Tab()

	// A person without a mouse, who first errs: the field has the focus, and
	// Enter sends it.
	b.Open(h.url + path)
	b.MustShow("Fetch your new kenbun token")
	fits(t, b, "form")
	enter(t, b, h.ben)
	b.MustCome("what is wrong with the token", `document.getElementById("problem") !== null`)
	fits(t, b, "problem")
	if got := chromium.Evaluate[string](b, `document.getElementById("problem").innerText`); !strings.Contains(got, "another token than yours made it") {
		t.Errorf("a wrong token: %q", got)
	}
	if got := chromium.Evaluate[string](b, `document.getElementById("token").value`); got != "" {
		t.Error("the field is not empty after an error")
	}
	enter(t, b, h.pat)
	b.MustShow("Copy your new token")
	fits(t, b, "token")
	value := chromium.Evaluate[string](b, `document.getElementById("value").value`)
	if !h.works(t, value) {
		t.Error("the token that is shown does not work")
	}
	b.Click("#copy")
	if got := chromium.Evaluate[string](b, `document.getElementById("value").value.slice(document.getElementById("value").selectionStart, document.getElementById("value").selectionEnd)`); got != value {
		t.Error("the copy button does not take the value whole")
	}

	// The address once more, and the same proof: somebody had it before.
	b.Open(h.url + path)
	b.MustShow("Fetch your new kenbun token")
	enter(t, b, h.pat)
	b.MustShow("There is no token for you here")
	fits(t, b, "gone")
	if h.works(t, value) {
		t.Error("after a second try the token works")
	}
}

func TestA11_ChromiumSendsNoOtherSitesForm(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!DOCTYPE html><h1>attacker</h1><form method="post" action="` + h.url + path + `"><input name="token" value="` + h.pat + `"></form>`)) // the test fails by what is missing
	}))
	t.Cleanup(attacker.Close)
	b := chromium.Start(t, chromium.Options{Width: 360}).Tab()
	b.Open(attacker.URL)
	b.MustShow("attacker")
	b.Do(chromedp.Submit(chromedp.CSS("form")))
	b.MustCome("the refusal of another site's form", `document.body !== null && document.body.innerText.includes("forbidden_origin")`)
	if answer := h.proved(t, path, h.pat); answer.status != http.StatusOK {
		t.Errorf("it cost the claim: status %d, %s", answer.status, answer.body)
	}
}
