package authority

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// web/style.css is the look that all pages of kenbun-mcp share, and a test
// keeps it the same text; web/tokens.css is what is on these pages alone.
//
//go:embed web
var webFiles embed.FS

func mustReadWebFile(name string) []byte {
	content, err := webFiles.ReadFile("web/" + name)
	if err != nil {
		panic(err) // the file is part of this program
	}
	return content
}

// webLook is what all pages have in common. It is made at the first.
type webLook struct {
	templates *template.Template
	style     template.CSS
	script    template.JS
	policy    string
}

var theWebLook = sync.OnceValue(func() webLook {
	style := append(mustReadWebFile("style.css"), mustReadWebFile("tokens.css")...)
	script := mustReadWebFile("page.js")
	functions := template.FuncMap{"date": webDate, "machine": machineDate}
	return webLook{
		templates: template.Must(template.New("").Funcs(functions).ParseFS(webFiles, "web/*.tmpl")),
		style:     template.CSS(style), //nolint:gosec // our own file
		script:    template.JS(script), //nolint:gosec // our own file
		// The one image, the icon of the tab, is part of the page itself. Hashes
		// let in exactly these two texts.
		policy: "default-src 'none'; img-src data:; style-src " + sourceHash(style) + "; script-src " + sourceHash(script) +
			"; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}
})

// sourceHash is how a content security policy (W3C CSP Level 3) names a text.
func sourceHash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// webPage is what is shown of one page.
type webPage struct {
	template string
	status   int
	title    string
	wide     bool
	failed   bool // a form was refused, which the tab says first
	data     any
}

func writePageHeader(header http.Header) {
	for _, field := range [][2]string{
		{"Content-Type", "text/html; charset=utf-8"},
		{"Content-Security-Policy", theWebLook().policy},
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

// show writes a page. as is empty where nobody is signed in.
func (a *Authority) show(w http.ResponseWriter, as identity, p webPage) error {
	look := theWebLook()
	var body bytes.Buffer
	// What a growing buffer leaves behind could not be wiped, and the page may
	// hold a secret.
	body.Grow(64 << 10)
	defer func() { clear(body.Bytes()[:body.Cap()]) }()
	values := map[string]any{
		"Title": p.title, "Wide": p.wide, "Failed": p.failed, "Style": look.style, "Script": look.script,
		"Email": as.email, "Role": as.role, "Data": p.data,
	}
	if as.credentialID != "" {
		values["CSRF"] = a.formToken(as.credentialID)
	}
	if err := look.templates.ExecuteTemplate(&body, p.template, values); err != nil {
		return fmt.Errorf("make the page %s: %w", p.template, err)
	}
	writePageHeader(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(p.status)
	_, err := w.Write(body.Bytes())
	return err
}

// noticeView is a page that only tells something.
type noticeView struct {
	Tone string // "good", "bad" or ""
	Text string
	ID   string // of the request
	// Again is the form that led here, if it can be sent again.
	Again *keptForm
}

func problemPage(p *problem, requestID string) webPage {
	title := map[int]string{
		http.StatusForbidden:             "That is not allowed",
		http.StatusNotFound:              "There is nothing here",
		http.StatusConflict:              "That cannot be done now",
		http.StatusServiceUnavailable:    "Not right now",
		http.StatusInternalServerError:   "Something went wrong",
		http.StatusMisdirectedRequest:    "That is not the address of this page",
		http.StatusTooManyRequests:       "Too much at once",
		http.StatusMethodNotAllowed:      "That cannot be done here",
		http.StatusRequestEntityTooLarge: "That form is too large",
	}[p.status]
	if title == "" {
		title = "That form could not be used"
	}
	return webPage{template: "notice", status: p.status, title: title, data: noticeView{Tone: "bad", Text: upperFirst(p.message), ID: requestID}}
}

// upperFirst begins a sentence: the messages of the API are half of one.
func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// webDate says a moment as people write it. The person's time zone is not known
// here.
func webDate(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") }

func machineDate(t time.Time) string { return t.UTC().Format(time.RFC3339) }
