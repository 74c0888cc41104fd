package human

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

//go:embed claimpages
var claimPageFiles embed.FS

var claimPages = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(claimPageFiles, "claimpages/*.tmpl"))
})

// ClaimPage is the page of a claim, as it is shown at the address of a server
// that other people use, too. It loads nothing and sets no cookies.
type ClaimPage struct {
	// Server is the name of the server, as the person's browser knows it.
	Server string
}

// claimView is what stands on a claim's page.
type claimView struct {
	Title   string
	Tone    string
	Problem string

	Value       string
	Row         tools.TokenRow
	Expires     string
	ValidFrom   string
	Permissions string

	Server string
	Style  template.CSS
	Script template.JS
}

// Form asks for the token that proves who somebody is. It shows the same for
// every claim, there or not. problem says what was wrong with the last try; empty
// at the first.
func (p ClaimPage) Form(w http.ResponseWriter, status int, problem string) error {
	return p.write(w, status, "claim form", claimView{Title: "Fetch your new kenbun token", Problem: problem})
}

// Token shows a token, this once. An error means that it did not reach the
// browser.
func (p ClaimPage) Token(w http.ResponseWriter, claimed *Claimed) error {
	now := time.Now()
	v := claimView{
		Title: "Copy your new token", Value: claimed.Value.Reveal(),
		Row: tools.NewTokenRow(&claimed.Token, now, ""), Expires: "never",
	}
	if v.Row.Permissions != nil {
		v.Permissions = v.Row.PermissionWords()
	}
	if at := claimed.Token.ExpiresAt; at != nil {
		v.Expires = inUTC(*at)
	}
	if at := claimed.Token.ValidFrom; at != nil {
		v.ValidFrom = inUTC(*at)
	}
	return p.write(w, http.StatusOK, "claim shown", v)
}

// inUTC is a time for a person whose time zone is not known.
func inUTC(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04 UTC") }

// Notice tells why there is no token.
func (p ClaimPage) Notice(w http.ResponseWriter, status int, text string) error {
	return p.write(w, status, "claim notice", claimView{Title: "There is no token for you here", Tone: "bad", Problem: text})
}

func (p ClaimPage) write(w http.ResponseWriter, status int, name string, v claimView) error {
	look := theLook()
	v.Server, v.Style, v.Script = p.Server, look.style, look.script
	var page bytes.Buffer
	// What a growing buffer leaves behind could not be wiped.
	page.Grow(64 << 10)
	defer func() { clear(page.Bytes()[:page.Cap()]) }()
	if err := claimPages().ExecuteTemplate(&page, name, v); err != nil {
		return fmt.Errorf("make the page of a claim: %w", err)
	}
	view{}.writeHeader(w.Header())
	w.WriteHeader(status)
	if _, err := w.Write(page.Bytes()); err != nil {
		return fmt.Errorf("send the page of a claim: %w", err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return fmt.Errorf("send the page of a claim: %w", err)
	}
	return nil
}
