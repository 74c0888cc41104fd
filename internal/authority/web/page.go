package web

import (
	"embed"
	"html/template"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/webui"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

//go:embed templates
var webFiles embed.FS

var webSite = webui.NewSite("kenbun", webFiles, "templates/*.tmpl", template.FuncMap{"date": webDate, "machine": machineDate})

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
func (h *Handler) show(w http.ResponseWriter, as domain.Identity, p webPage) error {
	page := webui.Page{
		Template: p.template, Status: p.status, Title: p.title, Tone: p.tone, Failed: p.failed, Wide: p.wide, Data: p.data,
		Where: struct{ Email, Role string }{as.Email, string(as.Role)},
	}
	if as.CredentialID != "" {
		page.CSRF = h.formToken(as.CredentialID)
	}
	return webSite.Write(w, page)
}

// noticeView is a page with only a message.
type noticeView struct {
	Text string
	ID   string // of the request
	// Again is the form to send again, if any.
	Again *keptForm
}

func problemPage(p *exchange.Problem, requestID string) webPage {
	title := map[int]string{
		http.StatusForbidden:             "That is not allowed",
		http.StatusNotFound:              "There is nothing here",
		http.StatusConflict:              "That cannot be done now",
		http.StatusServiceUnavailable:    "Not right now",
		http.StatusInternalServerError:   "Something went wrong",
		http.StatusMisdirectedRequest:    "This page has another address",
		http.StatusTooManyRequests:       "Too many requests",
		http.StatusMethodNotAllowed:      "That cannot be done here",
		http.StatusRequestEntityTooLarge: "That form is too large",
	}[p.Status]
	if title == "" {
		title = "That form could not be used"
	}
	return webPage{template: "notice", status: p.Status, title: title, tone: "bad", data: noticeView{Text: upperFirst(p.Message), ID: requestID}}
}

// upperFirst makes a sentence of the API's message.
func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// webDate formats a time. The user's time zone is not known.
func webDate(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") }

func machineDate(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// The page about a failed form keeps the form, so that it can be sent again after a sign-in or
// an outage. A form of another session changes nothing: Refill shows it filled in.

// keptForm is a form as it was sent.
type keptForm struct {
	Action string
	Label  string
	Fields []keptField
}

type keptField struct{ Name, Value string }

// formFields are the fields that are kept.
var formFields = []string{"csrf", "form", "seen", "name", "expiry", "expires_at", "valid_from", "scope", "permission"}

func keepForm(r *http.Request, label string) *keptForm {
	kept := &keptForm{Action: r.URL.EscapedPath(), Label: label}
	for _, name := range formFields {
		for _, value := range r.PostForm[name] {
			kept.Fields = append(kept.Fields, keptField{name, value})
		}
	}
	return kept
}

func sessionEndedPage(r *http.Request) webPage {
	return webPage{
		template: "session-ended", status: http.StatusUnauthorized, title: "Your session has ended",
		data: keepForm(r, "I am signed in again"),
	}
}

// withForm adds the failed form to a problem's page.
func withForm(p webPage, r *http.Request) webPage {
	if notice, ok := p.data.(noticeView); ok {
		notice.Again = keepForm(r, "Try again")
		p.data = notice
	}
	return p
}

// ofAnotherSession returns the input with the reason why it was not carried out.
func ofAnotherSession(r *http.Request) *formValues {
	return &formValues{Values: r.PostForm, problems: map[string]string{
		"form": "This form was opened in another session. Check that it is still right, then send it.",
	}}
}
