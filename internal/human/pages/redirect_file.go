package pages

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

const (
	// leadPrefix and leadSuffix are around the random part of a lead's name.
	leadPrefix = "page-"
	leadSuffix = ".html"
	// leadKept is how long a lead stays that a killed process left behind. A
	// browser reads it within seconds.
	leadKept = time.Hour
	// maxLead bounds a lead, in bytes.
	maxLead = 4 << 10
)

// lead is a file that takes the browser to a page, so that the page's address
// stands in no argument list, which all users of the machine can read.
type lead struct{ path string }

// url is the address of the file.
func (l *lead) url() string {
	path := filepath.ToSlash(l.path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive of Windows
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// lead makes the file that leads to a page of this process. The address must be
// http on loopback.
func (b *Browser) lead(address string) (*lead, error) {
	if err := checkLoopbackAddress(address); err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(b.folder)
	if err != nil || b.folder == "" {
		return nil, errors.New("there is no folder for the file that leads the browser to a page")
	}
	l := &lead{filepath.Join(folder, leadPrefix+rand.Text()+leadSuffix)}
	if err := l.write(address); err != nil {
		return nil, fmt.Errorf("the file that leads the browser to a page: %w", err)
	}
	sweepLeads(folder, time.Now().Add(-leadKept))
	return l, nil
}

func (l *lead) write(address string) (err error) {
	file, err := privatefile.Open(l.path, privatefile.Options{MaxSize: maxLead, MakeFolder: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := os.Chmod(filepath.Dir(l.path), 0o700); err != nil { //nolint:gosec // a folder, for its owner alone
		return privatefile.Explain("its folder cannot be made private", err)
	}
	address = html.EscapeString(address)
	return file.Replace([]byte(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=` + address + `">
<title>kenbun-mcp</title>
</head>
<body><p><a href="` + address + `">Open the page of kenbun-mcp</a></p></body>
</html>
`))
}

// remove removes the file, and the folder if nothing else is in it. What cannot be
// removed now is swept later.
func (l *lead) remove() {
	_ = os.Remove(l.path)
	_ = os.Remove(filepath.Dir(l.path))
}

// sweepLeads removes leads from before a time.
func sweepLeads(folder string, before time.Time) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name := entry.Name()
		info, err := entry.Info()
		if err != nil || info.Mode().Type() != 0 || !info.ModTime().Before(before) ||
			!strings.HasPrefix(name, leadPrefix) || !strings.HasSuffix(name, leadSuffix) {
			continue
		}
		_ = os.Remove(filepath.Join(folder, name))
	}
}

// leadFolder returns the folder for leads: data, or where browsers come as snap
// packages a visible folder in the user's home, since these can read neither
// hidden folders nor /tmp.
func leadFolder(goos, data, home string, stat func(string) (fs.FileInfo, error)) string {
	if goos != "linux" || home == "" {
		return data
	}
	if _, err := stat("/snap"); err != nil {
		return data
	}
	return filepath.Join(home, "kenbun-mcp-pages")
}

// show opens a page in the user's browser, by way of a file and of an address
// that works once.
func (p *Server) show(ctx context.Context, page *page) error {
	p.mu.Lock()
	if p.pages[page.path] != page {
		p.mu.Unlock()
		return nil // it is over
	}
	arrival := "/" + rand.Text()
	lead, err := p.browser.lead(strings.TrimSuffix(page.address, page.path) + arrival)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.arrivals[arrival] = page
	page.leads = append(page.leads, lead)
	p.mu.Unlock()
	return p.browser.open(ctx, lead)
}

// expects reports whether a browser was sent to path and has not come yet.
func (p *Server) expects(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrivals[path] != nil
}

// arrive returns the page to which path leads, once.
func (p *Server) arrive(path string) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	page := p.arrivals[path]
	if page != nil {
		p.forgetLeads(page)
	}
	return page
}

// forgetLeads ends all ways that lead to a page. The caller holds the lock.
func (p *Server) forgetLeads(page *page) {
	for path, to := range p.arrivals {
		if to == page {
			delete(p.arrivals, path)
		}
	}
	for _, lead := range page.leads {
		lead.remove()
	}
	page.leads = nil
}
