package human

import (
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/webui"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

//go:embed claimpages
var claimPageFiles embed.FS

var claimSite = webui.NewSite("kenbun-mcp", claimPageFiles, "claimpages/*.tmpl", nil)

// ClaimPage is the page of a claim, as it is shown at the address of a server
// that other people use, too. It loads nothing and sets no cookies.
type ClaimPage struct {
	// Server is the name of the server, as the person's browser knows it.
	Server string
}

// claimView is what stands on a claim's page.
type claimView struct {
	Problem string
	Value   string
	Facts   []approval.Fact
}

// Form asks for the token that proves who somebody is. It shows the same for
// every claim, there or not. problem says what was wrong with the last try; empty
// at the first.
func (p ClaimPage) Form(w http.ResponseWriter, status int, problem string) error {
	return p.write(w, webui.Page{
		Template: "form", Status: status, Title: "Fetch your new kenbun token", Failed: problem != "", Data: claimView{Problem: problem},
	})
}

// Token shows a token, this once. An error means that it did not reach the
// browser.
func (p ClaimPage) Token(w http.ResponseWriter, claimed *Claimed) error {
	return p.write(w, webui.Page{
		Template: "shown", Status: http.StatusOK, Title: "Copy your new token",
		Data: claimView{Value: claimed.Value.Reveal(), Facts: secretFacts(&claimed.Token, inUTC)},
	})
}

// inUTC is a time for a person whose time zone is not known.
func inUTC(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04 UTC") }

// Notice tells why there is no token.
func (p ClaimPage) Notice(w http.ResponseWriter, status int, text string) error {
	return p.write(w, webui.Page{
		Template: "notice", Status: status, Title: "There is no token for you here", Tone: "bad", Failed: true, Data: claimView{Problem: text},
	})
}

func (p ClaimPage) write(w http.ResponseWriter, page webui.Page) error {
	page.Where = p.Server
	if err := claimSite.Write(w, page); err != nil {
		return fmt.Errorf("send the page of a claim: %w", err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return fmt.Errorf("send the page of a claim: %w", err)
	}
	return nil
}
