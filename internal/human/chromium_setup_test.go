//go:build unix

package human

import (
	"context"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// chromium is a real browser without a window. When it ends, the test fails if a
// page asked for anything outside this machine, or did what its content
// security policy forbids.
type chromium struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	asked    []string
	problems []string
	// foreign is a host that the test itself leads the browser to.
	foreign string
	// forbidden is a directive that the test itself runs against.
	forbidden string
}

func newChromium(t *testing.T) *chromium {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		kenbuntest.SkipUnlessRequired(t, "Chromium is not installed")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		// No name leads anywhere but one, which leads here as in DNS rebinding.
		chromedp.Flag("host-resolver-rules", "MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	c := &chromium{t: t}
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	c.ctx = ctx
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end Chromium: %v", err)
		}
		stopAllocator()
		c.check()
	})
	return c
}

func (c *chromium) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) == 0 {
		c.t.Error("no request of Chromium was seen")
	}
	for _, address := range c.asked {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Hostname() != "127.0.0.1" && parsed.Scheme != "data" && parsed.Hostname() != c.foreign {
			c.t.Errorf("a page asked for %s", address)
		}
	}
	stopped := false
	for _, problem := range c.problems {
		if c.forbidden != "" && strings.Contains(problem, c.forbidden) {
			stopped = true
			continue
		}
		c.t.Errorf("Chromium complained: %s", problem)
	}
	if c.forbidden != "" && !stopped {
		c.t.Errorf("nothing was stopped by %s", c.forbidden)
	}
}

// tab is one tab of the browser. Each of its steps may take ten seconds.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func (c *chromium) tab() *tab {
	c.t.Helper()
	ctx, _ := chromedp.NewContext(c.ctx) // ends with the browser
	err := chromedp.Listen(ctx, func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			c.asked = append(c.asked, event.Request.URL)
		case *devlog.EventEntryAdded:
			if strings.Contains(event.Entry.Text, "Content Security Policy") || strings.Contains(event.Entry.Text, "Permissions") {
				c.problems = append(c.problems, event.Entry.Text)
			}
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	tab := &tab{c.t, ctx}
	must(tab, func(ctx context.Context) (struct{}, error) {
		if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
			return struct{}{}, err
		}
		if _, err := chromedp.Call(ctx, devlog.Enable, struct{}{}); err != nil {
			return struct{}{}, err
		}
		if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
			return struct{}{}, err
		}
		_, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: "clipboard-read"}, Setting: browser.PermissionSettingGranted,
		})
		return struct{}{}, err
	})
	return tab
}

func must[T any](b *tab, step func(context.Context) (T, error)) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	got, err := step(ctx)
	if err != nil {
		b.t.Fatalf("in Chromium: %v", err)
	}
	return got
}

// do takes steps that return nothing.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	must(b, func(ctx context.Context) (struct{}, error) { return struct{}{}, chromedp.Do(ctx, steps...) })
}

func evaluate[T any](b *tab, script string, options ...chromedp.EvaluateOption) T {
	b.t.Helper()
	return must(b, func(ctx context.Context) (T, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[T](script, options...))
	})
}

func (b *tab) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

// html is the whole page, with what stands in its fields.
func (b *tab) html() string {
	b.t.Helper()
	return evaluate[string](b, `document.documentElement.outerHTML + [...document.querySelectorAll("input, textarea")].map((f) => f.value).join("\n")`)
}

func (b *tab) heading() string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector("h1")?.innerText ?? document.body?.innerText ?? ""`)
}

// click clicks what a selector finds, by a mouse at its place.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// mustShow waits until the page's heading is want.
func (b *tab) mustShow(want string) {
	b.t.Helper()
	b.mustShowOneOf(want)
}

func (b *tab) mustShowOneOf(want ...string) string {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := b.heading()
		if slices.Contains(want, got) {
			return got
		}
		if time.Now().After(end) {
			b.t.Fatalf("the page shows %q, none of %q", got, want)
		}
	}
}
