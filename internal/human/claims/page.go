package claims

import (
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/webui"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

//go:embed claim.tmpl
var files embed.FS

var site = webui.NewSite("kenbun-mcp", files, "claim.tmpl", nil)

// Page renders the page of a claim.
type Page struct {
	// Server is the server's name for the user's browser.
	Server string
}

// claimView is the data of a claim's page.
type claimView struct {
	Problem string
	Value   string
	Facts   []approval.Fact
}

// Form asks for the user's token. It is the same for unknown claims. problem is what was wrong
// with the last try; empty at the first.
func (p Page) Form(w http.ResponseWriter, status int, problem string) error {
	return p.write(w, webui.Page{
		Template: "form", Status: status, Title: "Fetch your new kenbun token", Failed: problem != "", Data: claimView{Problem: problem},
	})
}

// Token shows a token, once. An error means that it did not reach the browser.
func (p Page) Token(w http.ResponseWriter, claimed *Claimed) error {
	return p.write(w, webui.Page{
		Template: "shown", Status: http.StatusOK, Title: "Copy your new token",
		Data: claimView{Value: claimed.Value.Reveal(), Facts: delivery.Facts(&claimed.Token, inUTC)},
	})
}

// inUTC formats a time for a user whose time zone is not known.
func inUTC(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04 UTC") }

// Notice says why there is no token.
func (p Page) Notice(w http.ResponseWriter, status int, text string) error {
	return p.write(w, webui.Page{
		Template: "notice", Status: status, Title: "There is no token for you here", Tone: "bad", Failed: true, Data: claimView{Problem: text},
	})
}

func (p Page) write(w http.ResponseWriter, page webui.Page) error {
	page.Where = p.Server
	err := site.Write(w, page)
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	if err != nil {
		return fmt.Errorf("send the page of a claim: %w", err)
	}
	return nil
}
