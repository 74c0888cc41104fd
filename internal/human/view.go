package human

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"
)

//go:embed pages
var pageFiles embed.FS

func mustReadPageFile(name string) []byte {
	content, err := pageFiles.ReadFile("pages/" + name)
	if err != nil {
		panic(err) // the file is part of this program
	}
	return content
}

// look is what all pages have in common. It is made at the first page.
type look struct {
	templates *template.Template
	style     template.CSS
	script    template.JS
	policy    string
}

var theLook = sync.OnceValue(func() look {
	style, script := mustReadPageFile("style.css"), mustReadPageFile("page.js")
	return look{
		templates: template.Must(template.ParseFS(pageFiles, "pages/*.tmpl")),
		style:     template.CSS(style), //nolint:gosec // our own file
		script:    template.JS(script), //nolint:gosec // our own file
		// The one image, the icon of the tab, is part of the page itself. Hashes
		// let in exactly these two texts, and need no new nonce for each answer.
		policy: "default-src 'none'; img-src data:; style-src " + sourceHash(style) + "; script-src " + sourceHash(script) +
			"; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}
})

// sourceHash is how a content security policy (W3C CSP Level 3) names a text.
func sourceHash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// view is one state of a page.
type view struct {
	template string
	status   int
	title    string
	failed   bool // a form was refused, which the tab says first
	data     any

	// What follows is the page's, and empty where there is none.
	path, csrf string
	ends       time.Time
}

// on returns v as it is shown on page.
func (v view) on(page *page) view {
	v.path, v.csrf, v.ends = page.path, page.csrf, page.ends
	return v
}

func (v view) write(to *bytes.Buffer) error {
	look := theLook()
	// What a growing buffer leaves behind could not be wiped.
	to.Grow(64 << 10)
	return look.templates.ExecuteTemplate(to, v.template, map[string]any{
		"Title":  v.title,
		"Failed": v.failed,
		"Style":  look.style,
		"Script": look.script,
		"Path":   v.path,
		"CSRF":   v.csrf,
		"Ends":   v.ends,
		"Data":   v.data,
	})
}

func (v view) writeHeader(header http.Header) {
	for _, field := range [][2]string{
		{"Content-Type", "text/html; charset=utf-8"},
		{"Content-Security-Policy", theLook().policy},
		{"X-Frame-Options", "DENY"},
		{"X-Content-Type-Options", "nosniff"},
		{"Cache-Control", "no-store"},
		// With no-referrer, browsers would send our own forms with "Origin: null"
		// (Fetch Standard, "append a request Origin header"). Nothing on a page
		// leads to another origin.
		{"Referrer-Policy", "same-origin"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "clipboard-write=(self)"},
	} {
		header.Set(field[0], field[1])
	}
}

// notice is a page without a form.
type notice struct {
	// Tone is "good", "bad" or "": how the page looks.
	Tone  string
	Lines []string
	// Waiting are questions that the user may go on to.
	Waiting []waitingQuestion
}

func newNotice(status int, title, tone string, lines ...string) view {
	return view{template: "notice", status: status, title: title, data: notice{Tone: tone, Lines: lines}}
}

// noticeOfNothing answers for every address that shows nothing, so that nobody
// learns which of them ever did.
func noticeOfNothing() view {
	return newNotice(http.StatusNotFound, "Nothing here any more", "",
		"This page was used, has ended, or never was.",
		"If you still need it, ask your assistant again: it opens a new one.")
}

// noticeOfWithdrawal answers for a page that was taken back before the user acted.
func noticeOfWithdrawal() view {
	return newNotice(http.StatusGone, "This was withdrawn", "",
		"Your assistant's call was cancelled, or your assistant was closed, before you decided. Nothing was done.",
		"If you still want it, ask your assistant again. You can close this tab.")
}

func noticeOfRefusal(status int) view {
	return newNotice(status, "This request was refused", "bad",
		"It did not come from a page of kenbun-mcp, so nothing was shown and nothing was done.",
		"Open the page's address itself, in a browser on this computer.")
}

func noticeOfBadForm(err error) view {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	return newNotice(status, "That form could not be read", "bad", "Nothing was done. Go back and try again.")
}

func noticeOfFailure() view {
	return newNotice(http.StatusInternalServerError, "Something went wrong", "bad",
		"kenbun-mcp failed while it made this page. Your assistant is told; ask it to try again.")
}

// date says a moment as people write it, in the machine's time zone.
func date(t time.Time) string { return t.Local().Format("2 January 2006, 15:04 MST") }

// minutes says a time limit.
func minutes(d time.Duration) string {
	d = d.Round(time.Second)
	if d%time.Minute != 0 || d == 0 {
		return d.String()
	}
	if d == time.Minute {
		return "1 minute"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}
