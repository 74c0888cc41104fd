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
	// redirectPrefix and redirectSuffix enclose the random part of a file's name.
	redirectPrefix = "page-"
	redirectSuffix = ".html"
	// redirectKept is how long a file stays after its process was killed.
	redirectKept = time.Hour
	// maxRedirect bounds a redirect file, in bytes.
	maxRedirect = 4 << 10
)

// redirect is a file that redirects the browser to a page, so that the page's address is in no
// argument list, which all users of the machine can read.
type redirect struct{ path string }

// url returns the address of the file.
func (r *redirect) url() string {
	path := filepath.ToSlash(r.path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive of Windows
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// redirectTo makes a file that redirects to a page of this process. The address must be http on
// loopback.
func (b *Browser) redirectTo(address string) (*redirect, error) {
	if err := checkLoopbackAddress(address); err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(b.folder)
	if err != nil || b.folder == "" {
		return nil, errors.New("there is no folder for the file that redirects the browser to a page")
	}
	r := &redirect{filepath.Join(folder, redirectPrefix+rand.Text()+redirectSuffix)}
	if err := r.write(address); err != nil {
		return nil, fmt.Errorf("the file that redirects the browser to a page: %w", err)
	}
	sweepRedirects(folder, time.Now().Add(-redirectKept))
	return r, nil
}

func (r *redirect) write(address string) (err error) {
	file, err := privatefile.Open(r.path, privatefile.Options{MaxSize: maxRedirect, MakeFolder: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := os.Chmod(filepath.Dir(r.path), 0o700); err != nil { //nolint:gosec // a folder, for its owner alone
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

// remove removes the file, and its folder if empty. Failures are left to the next sweep.
func (r *redirect) remove() {
	_ = os.Remove(r.path)
	_ = os.Remove(filepath.Dir(r.path))
}

// sweepRedirects removes redirect files from before a time.
func sweepRedirects(folder string, before time.Time) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name := entry.Name()
		info, err := entry.Info()
		if err != nil || info.Mode().Type() != 0 || !info.ModTime().Before(before) ||
			!strings.HasPrefix(name, redirectPrefix) || !strings.HasSuffix(name, redirectSuffix) {
			continue
		}
		_ = os.Remove(filepath.Join(folder, name))
	}
}

// redirectFolder returns the folder for redirect files: data, or a visible folder in the user's
// home where browsers may be snap packages, which can read neither hidden folders nor /tmp.
func redirectFolder(goos, data, home string, stat func(string) (fs.FileInfo, error)) string {
	if goos != "linux" || home == "" {
		return data
	}
	if _, err := stat("/snap"); err != nil {
		return data
	}
	return filepath.Join(home, "kenbun-mcp-pages")
}

// show opens a page in the user's browser, by a file and an address that works once.
func (p *Server) show(ctx context.Context, page *page) error {
	p.mu.Lock()
	if p.pages[page.path] != page {
		p.mu.Unlock()
		return nil // it is over
	}
	arrival := "/" + rand.Text()
	file, err := p.browser.redirectTo(strings.TrimSuffix(page.address, page.path) + arrival)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.arrivals[arrival] = page
	page.redirects = append(page.redirects, file)
	p.mu.Unlock()
	return p.browser.open(ctx, file)
}

// expects reports whether a browser is expected at path.
func (p *Server) expects(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrivals[path] != nil
}

// arrive returns the page for path, once.
func (p *Server) arrive(path string) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	page := p.arrivals[path]
	if page != nil {
		p.forgetRedirects(page)
	}
	return page
}

// forgetRedirects removes everything that redirects to a page. The caller holds the lock.
func (p *Server) forgetRedirects(page *page) {
	for path, to := range p.arrivals {
		if to == page {
			delete(p.arrivals, path)
		}
	}
	for _, file := range page.redirects {
		file.remove()
	}
	page.redirects = nil
}
