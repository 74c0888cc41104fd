//go:build unix

package pages

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

var update = flag.Bool("update", false, "take the screenshots in docs/images anew")

func noScript(t *testing.T, b *chromium.Tab) {
	t.Helper()
	b.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// setScheme sets the colour scheme.
func setScheme(t *testing.T, b *chromium.Tab, scheme string) {
	t.Helper()
	b.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	}))
}

// everyPage leads b to each state of each page in turn.
func everyPage(t *testing.T, h *house, b *chromium.Tab, look func(name string)) {
	t.Helper()
	token := newToken()
	token.Name = longest().Facts[0].Value
	secret, err := h.open(secretOf(token), atLeisure)
	if err != nil {
		t.Fatal(err)
	}
	b.Open(secret.address)
	look("secret")
	b.Click("button[value=show]")
	b.MustShow(headingShown)
	look("shown")
	b.Open(secret.address)
	look("nothing")

	question, err := h.open(&questionContent{question: longest()}, atLeisure)
	if err != nil {
		t.Fatal(err)
	}
	b.Open(question.address)
	look("question")
	b.Click("button[value=agree]")
	b.MustShow("You agreed")
	look("decided")

	offer := h.connect(t, func(context.Context, client.Secret) error {
		return errors.New("kenbun does not know this token: it was revoked")
	})
	b.Open(offer.URL)
	look("connect")
	b.Do(chromedp.SendKeys(chromedp.CSS("#token"), token.Value.Reveal()))
	b.Click("button.primary")
	b.MustCome("what is wrong", `document.getElementById("problem") !== null`)
	look("problem")
}

func TestPagesFitASmallWindow(t *testing.T) {
	h, b := newHouseAndTab(t)
	b.Do(chromedp.EmulateViewport(360, 640))
	everyPage(t, h, b, func(name string) {
		if width := chromium.Evaluate[int](b, `document.documentElement.scrollWidth`); width > 360 {
			t.Errorf("%s is %d pixels wide", name, width)
		}
		small := chromium.Evaluate[[]string](b, `[...document.querySelectorAll("button:not([hidden]), input:not([type=hidden]), textarea")].filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`)
		if len(small) != 0 {
			t.Errorf("%s: too small to hit: %v", name, small)
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
    if (["BUTTON", "INPUT", "TEXTAREA"].includes(e.tagName)) {
      const around = ground(e.parentElement);
      const r = Math.max(ratio(parse(style.borderTopColor), around), ratio(ground(e), around));
      if (r < 3) weak.push(e.tagName + "." + e.className + " edge " + r.toFixed(2));
    }
  }
  return seen < 5 ? ["only " + seen + " texts were seen"] : weak;
})()`

func TestPagesHaveContrastInBothSchemes(t *testing.T) {
	h, b := newHouseAndTab(t)
	for _, scheme := range []string{"light", "dark"} {
		setScheme(t, b, scheme)
		everyPage(t, h, b, func(name string) {
			if weak := chromium.Evaluate[[]string](b, contrasts); len(weak) != 0 {
				t.Errorf("%s, %s: %v", name, scheme, weak)
			}
		})
	}
}

// TestPagesAreToldApart reads what assistive technology reads first.
func TestPagesAreToldApart(t *testing.T) {
	h, b := newHouseAndTab(t)
	everyPage(t, h, b, func(name string) {
		heading := b.Heading()
		want := heading + " · kenbun-mcp"
		if name == "problem" {
			want = "Error: " + want
		}
		if title := chromium.Evaluate[string](b, `document.title`); title != want {
			t.Errorf("%s: the title is %q, the heading %q", name, title, heading)
		}
		if got := chromium.Evaluate[string](b, `document.documentElement.lang + " " + document.querySelectorAll("h1").length + " " + document.querySelectorAll("main").length`); got != "en 1 1" {
			t.Errorf("%s: language, headings and main parts are %q", name, got)
		}
		unnamed := chromium.Evaluate[[]string](b, `[...document.querySelectorAll("input:not([type=hidden]), textarea")].filter((e) => e.labels.length !== 1).map((e) => e.outerHTML)`)
		if len(unnamed) != 0 {
			t.Errorf("%s: fields without a label: %v", name, unnamed)
		}
		if loaded := chromium.Evaluate[int](b, `performance.getEntriesByType("resource").length`); loaded != 0 {
			t.Errorf("%s loads %d other resources", name, loaded)
		}
	})
}

// TestScreenshots keeps the pictures in the documentation small; with -update it
// takes them anew.
func TestScreenshots(t *testing.T) {
	images := filepath.Join("..", "..", "..", "docs", "images")
	if *update {
		takeScreenshots(t, images)
	}
	for _, name := range []string{"secret", "shown", "approve", "connect"} {
		for suffix, width := range map[string]int{"-light": 800, "-dark": 800, "-light-narrow": 360, "-dark-narrow": 360} {
			path := filepath.Join(images, name+suffix+".png")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
				continue
			}
			picture, err := png.DecodeConfig(bytes.NewReader(content))
			if err != nil || picture.Width != width || len(content) > 60_000 {
				t.Errorf("%s%s: %d pixels wide, %d bytes, %v", name, suffix, picture.Width, len(content), err)
			}
		}
	}
}

func takeScreenshots(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	h, b := newHouseAndTab(t)
	for _, scheme := range []string{"light", "dark"} {
		setScheme(t, b, scheme)
		for suffix, width := range map[string]int64{"": 800, "-narrow": 360} {
			take := func(name string) {
				t.Helper()
				b.Do(chromedp.EmulateViewport(width, 100))
				chromium.Evaluate[bool](b, `document.querySelectorAll("time").forEach((e) => e.textContent = "14:05"), document.activeElement.blur(), true`)
				b.Do(chromedp.EmulateViewport(width, chromium.Evaluate[int64](b, `document.documentElement.scrollHeight`)))
				picture := chromium.Run(b, chromedp.CaptureScreenshot())
				if err := os.WriteFile(filepath.Join(folder, name+"-"+scheme+suffix+".png"), chromium.SmallerPNG(t, picture), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			token := newToken()
			token.Prefix = "kbn_pat_3f9a1c07"
			token.Value = client.NewSecret(token.Prefix + "-this-is-an-example-and-no-token")
			secret, err := h.open(secretOf(token), atLeisure)
			if err != nil {
				t.Fatal(err)
			}
			b.Open(secret.address)
			take("secret")
			b.Click("button[value=show]")
			b.MustShow(headingShown)
			take("shown")
			question, err := h.open(&questionContent{question: aQuestion()}, atLeisure)
			if err != nil {
				t.Fatal(err)
			}
			b.Open(question.address)
			take("approve")
			b.Open(h.connect(t, mustNotAccept(t)).URL)
			take("connect")
		}
	}
}
