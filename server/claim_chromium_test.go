//go:build unix

package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// browserTab is a tab of a real browser without a window. Each of its steps may
// take ten seconds.
type browserTab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	asked    []string
	problems []string
}

func openBrowser(t *testing.T) *browserTab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		kenbuntest.SkipUnlessRequired(t, "Chromium is not installed")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	b := &browserTab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end Chromium: %v", err)
		}
		stopAllocator()
	})
	err = chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			b.asked = append(b.asked, event.Request.URL)
		case *devlog.EventEntryAdded:
			if strings.Contains(event.Entry.Text, "Content Security Policy") {
				b.problems = append(b.problems, event.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	inBrowser(b, func(ctx context.Context) (struct{}, error) {
		if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
			return struct{}{}, err
		}
		if _, err := chromedp.Call(ctx, devlog.Enable, struct{}{}); err != nil {
			return struct{}{}, err
		}
		if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
			return struct{}{}, err
		}
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 800, DeviceScaleFactor: 1})
		return struct{}{}, err
	})
	return b
}

func inBrowser[T any](b *browserTab, step func(context.Context) (T, error)) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	got, err := step(ctx)
	if err != nil {
		b.t.Fatalf("in Chromium: %v", err)
	}
	return got
}

func (b *browserTab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	inBrowser(b, func(ctx context.Context) (struct{}, error) { return struct{}{}, chromedp.Do(ctx, steps...) })
}

func evaluate[T any](b *browserTab, script string) T {
	b.t.Helper()
	return inBrowser(b, func(ctx context.Context) (T, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[T](script))
	})
}

// mustCome waits until a condition holds on the page. While the browser goes
// from one page to the next, none does.
func (b *browserTab) mustCome(what, condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
		switch {
		case err == nil && holds:
			return
		case ctx.Err() != nil:
			b.t.Fatalf("it did not come: %s (%v)", what, err)
		}
		time.Sleep(10 * time.Millisecond) // between looks at the page
	}
}

// mustShow waits until the page's heading is want.
func (b *browserTab) mustShow(want string) {
	b.t.Helper()
	b.mustCome("the heading "+want, `document.querySelector("h1")?.innerText === `+strconv.Quote(want))
}

// enter types into the field that has the focus by itself, and sends it by
// keyboard.
func (b *browserTab) enter(token string) {
	b.t.Helper()
	b.mustCome("the focus on the field", `document.readyState === "complete" && document.hasFocus() && document.activeElement.id === "token"`)
	b.do(chromedp.KeyEvent(token + kb.Enter))
}

// fits fails if the page is wider than a small window.
func (b *browserTab) fits(what string) {
	b.t.Helper()
	if width := evaluate[int](b, `document.documentElement.scrollWidth`); width > 360 {
		b.t.Errorf("%s is %d pixels wide in a window of 360", what, width)
	}
}

func TestClaim_PageInChromium(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	b := openBrowser(t)

	// A person without a mouse, who first errs: the field has the focus, and
	// Enter sends it.
	b.do(chromedp.Navigate(h.url + path))
	b.mustShow("Fetch your new kenbun token")
	b.fits("form")
	b.enter(h.ben)
	b.mustCome("what is wrong with the token", `document.getElementById("problem") !== null`)
	b.fits("problem")
	if got := evaluate[string](b, `document.getElementById("problem").innerText`); !strings.Contains(got, "another token than yours made it") {
		t.Errorf("a wrong token: %q", got)
	}
	if got := evaluate[string](b, `document.getElementById("token").value`); got != "" {
		t.Error("the field is not empty after an error")
	}
	b.enter(h.pat)
	b.mustShow("Copy your new token")
	b.fits("token")
	value := evaluate[string](b, `document.getElementById("value").value`)
	if !h.works(t, value) {
		t.Error("the token that is shown does not work")
	}
	b.do(chromedp.Click(chromedp.CSS("#copy")))
	if got := evaluate[string](b, `document.getElementById("value").value.slice(document.getElementById("value").selectionStart, document.getElementById("value").selectionEnd)`); got != value {
		t.Error("the copy button does not take the value whole")
	}

	// The address once more, and the same proof: somebody had it before.
	b.do(chromedp.Navigate(h.url + path))
	b.mustShow("Fetch your new kenbun token")
	b.enter(h.pat)
	b.mustShow("There is no token for you here")
	b.fits("gone")
	if h.works(t, value) {
		t.Error("after a second try the token works")
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.problems) > 0 {
		t.Errorf("Chromium complained: %v", b.problems)
	}
	for _, address := range b.asked {
		if parsed, err := url.Parse(address); err != nil || "http://"+parsed.Host != h.url && parsed.Scheme != "data" {
			t.Errorf("a page asked for %s", address)
		}
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
	b := openBrowser(t)
	b.do(chromedp.Navigate(attacker.URL))
	b.mustShow("attacker")
	b.do(chromedp.Submit(chromedp.CSS("form")))
	b.mustCome("the refusal of another site's form", `document.body !== null && document.body.innerText.includes("forbidden_origin")`)
	if answer := h.do(t, "POST", path, bearer(h.pat), ""); answer.status != http.StatusOK {
		t.Errorf("it cost the claim: status %d, %s", answer.status, answer.body)
	}
}
