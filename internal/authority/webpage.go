package authority

import (
	"embed"
	"html/template"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/webui"
)

//go:embed web
var webFiles embed.FS

var webSite = webui.NewSite("kenbun", webFiles, "web/*.tmpl", template.FuncMap{"date": webDate, "machine": machineDate})

// webPage is what is shown of one page.
type webPage struct {
	template string
	status   int
	title    string
	tone     string // "good", "bad" or ""
	wide     bool
	failed   bool // a form was refused, which the tab says first
	data     any
}

// show writes a page. as is empty where nobody is signed in.
func (a *Authority) show(w http.ResponseWriter, as identity, p webPage) error {
	page := webui.Page{
		Template: p.template, Status: p.status, Title: p.title, Tone: p.tone, Failed: p.failed, Wide: p.wide, Data: p.data,
		Where: struct{ Email, Role string }{as.email, string(as.role)},
	}
	if as.credentialID != "" {
		page.CSRF = a.formToken(as.credentialID)
	}
	return webSite.Write(w, page)
}

// noticeView is a page that only tells something.
type noticeView struct {
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
	return webPage{template: "notice", status: p.status, title: title, tone: "bad", data: noticeView{Text: upperFirst(p.message), ID: requestID}}
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
