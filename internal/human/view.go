package human

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/webui"
)

//go:embed pages
var pageFiles embed.FS

var pageSite = webui.NewSite("kenbun-mcp", pageFiles, "pages/*.tmpl", nil)

// notice is a page without a form.
type notice struct {
	Lines []string
	// Waiting are questions that the user may go on to.
	Waiting []waitingQuestion
}

func newNotice(status int, title, tone string, lines ...string) webui.Page {
	return webui.Page{Template: "notice", Status: status, Title: title, Tone: tone, Data: notice{Lines: lines}}
}

// noticeOfNothing answers for every address that shows nothing, so that nobody
// learns which of them ever did.
func noticeOfNothing() webui.Page {
	return newNotice(http.StatusNotFound, "Nothing here any more", "",
		"This page was used, has ended, or never was.",
		"If you still need it, ask your assistant again: it opens a new one.")
}

// noticeOfWithdrawal answers for a page that was taken back before the user acted.
func noticeOfWithdrawal() webui.Page {
	return newNotice(http.StatusGone, "This was withdrawn", "",
		"Your assistant's call was cancelled, or your assistant was closed, before you decided. Nothing was done.",
		"If you still want it, ask your assistant again. You can close this tab.")
}

func noticeOfRefusal(status int) webui.Page {
	return newNotice(status, "This request was refused", "bad",
		"It did not come from a page of kenbun-mcp, so nothing was shown and nothing was done.",
		"Open the page's address itself, in a browser on this computer.")
}

func noticeOfBadForm(err error) webui.Page {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	return newNotice(status, "That form could not be read", "bad", "Nothing was done. Go back and try again.")
}

func noticeOfFailure() webui.Page {
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
