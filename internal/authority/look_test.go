//go:build unix

package authority_test

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

var update = flag.Bool("update", false, "take the screenshots in docs/images anew")

const day = 24 * time.Hour

// furnish fills the house with tokens of every kind, as of March 2026. It
// returns the id of one that is used.
func (h *house) furnish(longName string) (usedID string) {
	h.t.Helper()
	today := time.Date(2026, 3, 28, 14, 22, 0, 0, time.UTC)
	at := func(t time.Time) string { return t.Format(time.RFC3339) }
	h.setClock(today.Add(-130 * day))
	_, importer := h.create("Nightly import", nil)
	h.setClock(today.Add(-125 * day))
	h.create("Laptop (2025)", nil)
	h.setClock(today.Add(-60 * day))
	_, analysis := h.create("Quarterly analysis", map[string]any{"permissions": []string{"read:accounts", "read:leads", "read:scoring"}, "expires_at": at(today.Add(4 * day))})
	h.create(longName, map[string]any{"expires_at": at(today.Add(-9 * day))})
	h.call("GET", "/me", "", importer)
	h.setClock(today.Add(-20 * day))
	used, laptop := h.create("MCP Server - Work Laptop", map[string]any{"expires_at": at(today.Add(70 * day))})
	h.create("Campaign in May", map[string]any{"valid_from": at(today.Add(34 * day)), "expires_at": at(today.Add(60 * day)), "permissions": []string{"write:leads"}})
	goneID, gone := h.create("Trial", nil)
	h.call("GET", "/settings/tokens", "", laptop)
	h.call("GET", "/org-units", "", laptop)
	h.setClock(today.Add(-time.Hour))
	h.call("GET", "/me", "", laptop)
	h.call("GET", "/me", "", analysis)
	h.call("POST", "/settings/tokens", "{}", laptop)
	h.call("DELETE", "/settings/tokens/"+goneID, "", gone)
	h.setClock(today)
	return used
}

// longest is a name of the greatest length without a place to break it.
var longest = strings.Repeat("W", 100)

// everyPage leads tab to each state of each page in turn.
func everyPage(h *house, tab *chromium.Tab, look func(name string)) {
	h.t.Helper()
	used := h.furnish(longest)
	tab.Open(h.link())
	look("sign-in")
	tab.Click("button.primary")
	tab.MustShow(tableHeading)
	look("table")
	for _, page := range []struct{ name, path string }{
		{"everything", "?state=all"},
		{"nothing found", "?q=nothing"},
		{"edit", "/" + used},
		{"revoke", "/" + used + "/revoke"},
		{"usage", "/" + used + "/usage"},
		{"not there", "/pat_0"},
		{"create", "/new"},
	} {
		tab.Open(h.url + "/web/tokens" + page.path)
		look(page.name)
	}
	tab.Click("input[value=date]")
	tab.Click("input[value=some]")
	look("create with choices")
	tab.Click("form.token-form button.primary")
	tab.MustCome("what is wrong", `document.getElementById("permissions-problem") !== null`)
	look("create with mistakes")
	tab.Open(h.url + "/web/tokens/new")
	tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), longest))
	tab.Click("input[value=never]")
	look("create for ever")
	tab.Click("form.token-form button.primary")
	tab.MustShow("Copy your token now")
	look("shown")
	tab.Click(".brand button")
	tab.MustShow("You are signed out")
	look("signed out")
	h.signIn(tab)
	tab.Open(h.url + "/web/tokens/new")
	h.setClock(h.clock().Add(authority.DefaultSessionLifetime))
	tab.Click("form.token-form button.primary")
	tab.MustShow("Your session has ended")
	look("session ended")
}

// TestK6_PagesFitASmallWindow looks for what a phone cannot show or hit.
func TestK6_PagesFitASmallWindow(t *testing.T) {
	h := newHouse(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	tab.Do(chromedp.EmulateViewport(360, 640))
	everyPage(h, tab, func(name string) {
		if width := chromium.Evaluate[int](tab, `document.documentElement.scrollWidth`); width > 360 {
			t.Errorf("%s is %d pixels wide", name, width)
		}
		small := chromium.Evaluate[[]string](tab, `[...document.querySelectorAll("button:not([hidden]), a.button, .links a, .states a, input:not([type=hidden], [type=radio], [type=checkbox]), label.choice, textarea")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`)
		if len(small) != 0 {
			t.Errorf("%s: too small to hit: %v", name, small)
		}
		below := chromium.Evaluate[[]string](tab, `[...document.querySelectorAll("label.choice")].filter((e) => e.checkVisibility() && (() => { const text = new Range(); text.selectNodeContents(e); text.setStartAfter(e.querySelector("input")); return text.getBoundingClientRect().left < e.querySelector("input").getBoundingClientRect().right; })()).map((e) => e.innerText)`)
		if len(below) != 0 {
			t.Errorf("%s: not beside their boxes: %v", name, below)
		}
	})
}

// contrasts are all texts and edges of controls of a page that stand out less
// than WCAG 2.2 AA asks for: 4.5 for text (1.4.3), 3 for controls (1.4.11).
const contrasts = `(() => {
  const parse = (c) => (c.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + 0.05) / (y + 0.05); };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const weak = [];
  let seen = 0;
  for (const e of document.body.querySelectorAll("*")) {
    if (!e.checkVisibility() || e.tagName === "SCRIPT") continue;
    const style = getComputedStyle(e);
    if ([...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) {
      seen++;
      const r = ratio(parse(style.color), ground(e));
      if (r < 4.5) weak.push(e.tagName + "." + e.className + " " + r.toFixed(2));
    }
    if (["BUTTON", "TEXTAREA"].includes(e.tagName) || e.matches("a.button, input:not([type=radio], [type=checkbox])")) {
      const around = ground(e.parentElement);
      const r = Math.max(ratio(parse(style.borderTopColor), around), ratio(ground(e), around));
      if (r < 3) weak.push(e.tagName + "." + e.className + " edge " + r.toFixed(2));
    }
  }
  return seen < 5 ? ["only " + seen + " texts were seen"] : weak;
})()`

// TestK6_PagesHaveContrastAndNames looks in both schemes, and reads what
// assistive technology reads.
func TestK6_PagesHaveContrastAndNames(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			h := newHouse(t)
			tab := chromium.Start(t, chromium.Options{}).Tab()
			setScheme(tab, scheme)
			everyPage(h, tab, func(name string) {
				if weak := chromium.Evaluate[[]string](tab, contrasts); len(weak) != 0 {
					t.Errorf("%s: %v", name, weak)
				}
				heading := tab.Heading()
				if title := chromium.Evaluate[string](tab, `document.title`); strings.TrimPrefix(title, "Error: ") != heading+" · kenbun" {
					t.Errorf("%s: the title is %q, the heading %q", name, title, heading)
				}
				if got := chromium.Evaluate[string](tab, `document.documentElement.lang + " " + document.querySelectorAll("h1").length + " " + document.querySelectorAll("main").length`); got != "en 1 1" {
					t.Errorf("%s: language, headings and main parts are %q", name, got)
				}
				unnamed := chromium.Evaluate[[]string](tab, `[...document.querySelectorAll("input:not([type=hidden]), textarea")].filter((e) => e.labels.length !== 1).map((e) => e.outerHTML)`)
				if len(unnamed) != 0 {
					t.Errorf("%s: fields without a label: %v", name, unnamed)
				}
				lost := chromium.Evaluate[[]string](tab, `[...document.querySelectorAll("[aria-describedby]")].flatMap((e) => e.getAttribute("aria-describedby").split(" ")).filter((id) => !document.getElementById(id))`)
				if len(lost) != 0 {
					t.Errorf("%s: descriptions that are not there: %v", name, lost)
				}
				if loaded := chromium.Evaluate[int](tab, `performance.getEntriesByType("resource").length`); loaded != 0 {
					t.Errorf("%s loads %d other resources", name, loaded)
				}
			})
		})
	}
}

// screenshots are the pictures of docs/authority.md, and how wide they are.
var screenshots = map[string]int{
	"tokens-light": 1200, "tokens-dark": 1200, "tokens-light-narrow": 360, "tokens-dark-narrow": 360,
	"create-light": 800, "create-dark": 800, "create-light-narrow": 360, "create-dark-narrow": 360,
	"revoke-light": 800, "revoke-dark": 800, "revoke-light-narrow": 360, "revoke-dark-narrow": 360,
	"usage-light": 800, "usage-dark": 800, "usage-light-narrow": 360, "usage-dark-narrow": 360,
}

// TestScreenshots keeps the pictures in the documentation small; with -update it
// takes them anew.
func TestScreenshots(t *testing.T) {
	images := filepath.Join("..", "..", "docs", "images")
	if *update {
		takeScreenshots(t, images)
	}
	for name, width := range screenshots {
		content, err := os.ReadFile(filepath.Join(images, name+".png"))
		if err != nil {
			t.Error(err)
			continue
		}
		picture, err := png.DecodeConfig(bytes.NewReader(content))
		if err != nil || picture.Width != width || len(content) > 120_000 {
			t.Errorf("%s: %d pixels wide, %d bytes, %v", name, picture.Width, len(content), err)
		}
	}
}

func takeScreenshots(t *testing.T, folder string) {
	t.Helper()
	h := newHouse(t)
	used := h.furnish("Migration")
	tab := chromium.Start(t, chromium.Options{}).Tab()
	h.signIn(tab)
	for _, scheme := range []string{"light", "dark"} {
		setScheme(tab, scheme)
		for _, suffix := range []string{"", "-narrow"} {
			take := func(name string) {
				t.Helper()
				file := name + "-" + scheme + suffix
				width := int64(screenshots[file])
				tab.Do(chromedp.EmulateViewport(width, 100))
				chromium.Evaluate[bool](tab, `document.activeElement.blur(), true`)
				tab.Do(chromedp.EmulateViewport(width, chromium.Evaluate[int64](tab, `document.documentElement.scrollHeight`)))
				picture := chromium.Run(tab, chromedp.CaptureScreenshot())
				if err := os.WriteFile(filepath.Join(folder, file+".png"), chromium.SmallerPNG(t, picture), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			tab.Open(h.url + "/web/tokens")
			take("tokens")
			tab.Open(h.url + "/web/tokens/" + used + "/revoke")
			take("revoke")
			tab.Open(h.url + "/web/tokens/" + used + "/usage")
			take("usage")
			tab.Open(h.url + "/web/tokens/new")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "MCP Server - Work Laptop"))
			tab.Click("input[value=some]")
			tab.Click("input[value='read:tokens']")
			tab.Click("input[value='read:leads']")
			take("create")
		}
	}
}
