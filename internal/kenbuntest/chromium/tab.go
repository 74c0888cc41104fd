//go:build unix

package chromium

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience is how long one call of a tab may take. A machine that runs all tests
// at once is slow.
const patience = 60 * time.Second

// lookPatience is how long one look at a page may take: Chromium may leave a
// script unanswered that was sent while one page made room for the next.
const lookPatience = 10 * time.Second

// Tab is one tab of the browser. Each call may take a minute; unless it says
// otherwise, the test ends where one fails.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// Tab opens a tab that believes it has the focus, and whose pages may read the
// clipboard.
func (b *Browser) Tab() *Tab {
	b.t.Helper()
	ctx, _ := chromedp.NewContext(b.ctx) // ends with the browser
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		b.t.Fatal(err)
	}
	tab := &Tab{b.t, ctx}
	tab.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		if _, err := chromedp.Call(ctx, devlog.Enable, struct{}{}); err != nil {
			return err
		}
		if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
			return err
		}
		if b.options.Width != 0 {
			if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: b.options.Width, Height: 800, DeviceScaleFactor: 1,
			}); err != nil {
				return err
			}
		}
		_, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: "clipboard-read"}, Setting: browser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
		})
		return err
	}))
	return tab
}

// Run takes a step and returns what it returns.
func Run[T any](b *Tab, step chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, step)
	if err != nil {
		b.t.Fatalf("in Chromium: %v", err)
	}
	return got
}

// Evaluate returns what a script on the page comes to.
func Evaluate[T any](b *Tab, script string, options ...chromedp.EvaluateOption) T {
	b.t.Helper()
	return Run(b, chromedp.Evaluate[T](script, options...))
}

// Do takes steps that return nothing.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	Run(b, chromedp.Steps(steps...))
}

// Try takes a step that may fail. Unlike the others it can be called outside the
// goroutine of the test.
func (b *Tab) Try(step chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, step)
}

// Open goes to an address.
func (b *Tab) Open(address string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(address))
}

// Click clicks what a selector finds, by a mouse at its place.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.Do(chromedp.Click(chromedp.CSS(selector)))
}

// HTML is the whole page, with what stands in its fields, as soon as it is there.
func (b *Tab) HTML() string {
	b.t.Helper()
	return whenThere(b, `document.documentElement.outerHTML + [...document.querySelectorAll("input, textarea")].map((f) => f.value).join("\n")`)
}

const heading = `document.querySelector("h1")?.innerText ?? document.body?.innerText ?? ""`

// Heading is the page's heading, or all of its text if it has none, as soon as
// the page is there.
func (b *Tab) Heading() string {
	b.t.Helper()
	return whenThere(b, heading)
}

// whenThere returns what a script comes to on the first page that is there in
// whole: one that was gone back to may load itself anew.
func whenThere(b *Tab, script string) string {
	b.t.Helper()
	got, err := waitFor(b, script, func(string) bool { return true })
	if err != nil {
		b.t.Fatalf("no page is there: %v", err)
	}
	return got
}

// MustShow waits until the page's heading is want.
func (b *Tab) MustShow(want string) {
	b.t.Helper()
	b.MustShowOneOf(want)
}

// MustShowOneOf waits until the page's heading is one of those wanted, and
// returns which.
func (b *Tab) MustShowOneOf(want ...string) string {
	b.t.Helper()
	got, err := waitFor(b, heading, func(got string) bool { return slices.Contains(want, got) })
	if err != nil {
		b.t.Fatalf("the page shows %q, none of %q (%v)", got, want, err)
	}
	return got
}

// MustCome waits until a condition, which is a script, holds on the page. what
// says in words what it is.
func (b *Tab) MustCome(what, condition string) {
	b.t.Helper()
	if _, err := waitFor(b, condition, func(holds bool) bool { return holds }); err != nil {
		b.t.Fatalf("it did not come: %s (%v)", what, err)
	}
}

// waitFor evaluates a script until it comes to what is wanted on a page that is
// there in whole. It returns what it came to last, and an error if that is not it.
// While the browser goes from one page to the next, a script may fail; that is no
// reason to stop.
func waitFor[T any](b *Tab, script string, wanted func(T) bool) (last T, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	type look struct {
		Whole bool `json:"whole"`
		Got   T    `json:"got"`
	}
	script = `({whole: document.readyState === "complete", got: ` + script + `})`
	for {
		looking, stop := context.WithTimeout(ctx, lookPatience)
		seen, err := chromedp.Run(looking, chromedp.Evaluate[look](script))
		stop()
		if err == nil {
			last = seen.Got
			if seen.Whole && wanted(last) {
				return last, nil
			}
		}
		if ctx.Err() != nil {
			if err == nil {
				err = ctx.Err()
			}
			return last, err
		}
		time.Sleep(10 * time.Millisecond) // between looks at the page
	}
}
