// Package webui renders all web pages of this program, with one layout, style sheet, script,
// content security policy and set of headers. Pages load nothing, set no cookies by themselves
// and cannot be framed.
package webui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"sync"
)

//go:embed layout.tmpl style.css page.js
var files embed.FS

func mustRead(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of this program
	}
	return content
}

// assets are shared by all pages. They are read at the first page.
type assets struct {
	style  template.CSS
	script template.JS
	policy string
}

var shared = sync.OnceValue(func() assets {
	style, script := mustRead("style.css"), mustRead("page.js")
	return assets{
		style:  template.CSS(style), //nolint:gosec // our own file
		script: template.JS(script), //nolint:gosec // our own file
		// The tab's icon is part of the page. The hashes allow exactly these two texts.
		policy: "default-src 'none'; img-src data:; style-src " + sourceHash(style) + "; script-src " + sourceHash(script) +
			"; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}
})

// sourceHash returns a text's hash for a content security policy (W3C CSP Level 3).
func sourceHash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// ErrRender indicates that a page could not be rendered. Nothing was written.
var ErrRender = errors.New("the page could not be rendered")

// Site is a set of templates on the shared layout.
type Site struct {
	brand     string
	templates func() *template.Template
}

// NewSite returns a site with the templates that match pattern. They use those of layout.tmpl,
// and define "where", shown beside the brand, and "about", the text of the footer. functions
// may be nil. Templates are parsed at the first page, and a mistake in them panics.
func NewSite(brand string, templates fs.FS, pattern string, functions template.FuncMap) *Site {
	return &Site{brand: brand, templates: sync.OnceValue(func() *template.Template {
		layout := template.Must(template.New("").Funcs(functions).ParseFS(files, "layout.tmpl"))
		return template.Must(layout.ParseFS(templates, pattern))
	})}
}

// Page is a page of a site.
type Page struct {
	// Template is the name of the site's template for the page.
	Template string
	// Status is the answer's HTTP status.
	Status int
	Title  string
	// Tone is "good", "bad" or empty, and marks the heading.
	Tone string
	// Failed marks the page of a refused form, also in the tab's title.
	Failed bool
	// Wide pages hold a table of many columns.
	Wide bool
	// Where is for the template "where".
	Where any
	// Path and CSRF are for the page's form.
	Path, CSRF string
	// Data is for the page's own template.
	Data any
}

// Write answers with a page. After [ErrRender], nothing was written. It wipes its buffer, since a
// page may hold a secret. It does not flush.
func (s *Site) Write(w http.ResponseWriter, p Page) error {
	var body bytes.Buffer
	// A buffer that grows would leave copies behind.
	body.Grow(64 << 10)
	defer func() { clear(body.Bytes()[:body.Cap()]) }()
	err := s.templates().ExecuteTemplate(&body, p.Template, struct {
		Page
		Brand  string
		Style  template.CSS
		Script template.JS
	}{p, s.brand, shared().style, shared().script})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRender, p.Template, err)
	}
	SetHeaders(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(p.Status)
	_, err = w.Write(body.Bytes())
	return err
}

// SetHeaders sets the headers of a page, or of a redirect to one.
func SetHeaders(header http.Header) {
	for _, field := range [][2]string{
		{"Content-Type", "text/html; charset=utf-8"},
		{"Content-Security-Policy", shared().policy},
		{"X-Frame-Options", "DENY"},
		{"X-Content-Type-Options", "nosniff"},
		{"Cache-Control", "no-store"},
		// With no-referrer, browsers send forms with "Origin: null" (Fetch Standard, "append
		// a request Origin header"). No page links to another origin.
		{"Referrer-Policy", "same-origin"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "clipboard-write=(self)"},
	} {
		header.Set(field[0], field[1])
	}
}
