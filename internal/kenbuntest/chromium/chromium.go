//go:build unix

// Package chromium gives tests a real browser without a window, which watches
// what the pages do: a test fails if one of them asked for anything outside this
// machine, or did what its content security policy forbids.
package chromium

import (
	"context"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/atend"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// ForeignHost is this machine under another name, as in DNS rebinding. No other
// name leads anywhere.
const ForeignHost = "evil.test"

// Options say what is different in a test. Most need none.
type Options struct {
	// Origin, if there is one, is all that pages may ask for, such as
	// "http://127.0.0.1:8080". Otherwise it is whatever 127.0.0.1 serves.
	Origin string
	// Foreign says that the test itself leads the browser to [ForeignHost].
	Foreign bool
	// File, if there is one, is a file address that the test leads the browser to.
	File string
	// Forbidden is a directive of a content security policy that the test itself
	// runs against: what it stops is no failure, but that it stops nothing is.
	Forbidden string
	// Width, if it is not 0, is the width of the window in pixels.
	Width int64
}

// Browser is a running Chromium as one test has it: with cookies, storage and
// permissions of its own.
type Browser struct {
	t       testing.TB
	ctx     context.Context
	options Options

	mu       sync.Mutex
	asked    []string
	problems []string
}

// Start gives the test a browser until it ends, and then fails the test if the
// pages did what they must not. It launches Chromium if it does not run.
func Start(t testing.TB, options Options) *Browser {
	t.Helper()
	ctx, _ := chromedp.NewContext(Launch(t), chromedp.WithNewBrowserContext()) // ends with the test
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a window of Chromium: %v", err)
	}
	b := &Browser{t: t, ctx: ctx, options: options}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the window of Chromium: %v", err)
		}
		b.check()
	})
	return b
}

var (
	sharedMu sync.Mutex
	shared   context.Context
)

// Launch starts the Chromium that all tests of a process share, unless it runs. The
// package's TestMain must call [atend.Run]. Without Chromium on the machine the test
// is left out.
func Launch(t testing.TB) context.Context {
	t.Helper()
	path := program(t)
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared != nil {
		return shared
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), append(
		slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+ForeignHost+" 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)...)
	ctx, _ := chromedp.NewContext(allocator) // ends with the tests
	if err := chromedp.Do(ctx); err != nil {
		stopAllocator()
		t.Fatalf("start Chromium: %v", err)
	}
	atend.Do(func() error {
		defer stopAllocator()
		return chromedp.Cancel(ctx)
	})
	shared = ctx
	return ctx
}

func program(t testing.TB) (path string) {
	t.Helper()
	require.Long(t, "it starts Chromium")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	require.SkipUnlessRequired(t, "Chromium is not installed")
	return ""
}

// watch remembers what a page asks for and what is complained of.
func (b *Browser) watch(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, event.Request.URL)
	case *devlog.EventEntryAdded:
		if strings.Contains(event.Entry.Text, "Content Security Policy") || strings.Contains(event.Entry.Text, "Permissions") {
			b.problems = append(b.problems, event.Entry.Text)
		}
	}
}

func (b *Browser) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) == 0 {
		b.t.Error("no request of Chromium was seen")
	}
	for _, address := range b.asked {
		if !b.mayAsk(address) {
			b.t.Errorf("a page asked for %s", address)
		}
	}
	stopped := false
	for _, problem := range b.problems {
		if b.options.Forbidden != "" && strings.Contains(problem, b.options.Forbidden) {
			stopped = true
			continue
		}
		b.t.Errorf("Chromium complained: %s", problem)
	}
	if b.options.Forbidden != "" && !stopped {
		b.t.Errorf("nothing was stopped by %s", b.options.Forbidden)
	}
}

func (b *Browser) mayAsk(address string) bool {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return false
	case parsed.Scheme == "data", b.options.File != "" && address == b.options.File:
		return true
	case b.options.Foreign && parsed.Hostname() == ForeignHost:
		return true
	case b.options.Origin != "":
		return parsed.Scheme+"://"+parsed.Host == b.options.Origin
	default:
		return parsed.Hostname() == "127.0.0.1"
	}
}
