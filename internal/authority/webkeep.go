package authority

import "net/http"

// A form that could not be carried out is kept on the page that says so, and can
// be sent again from there: what somebody typed is not lost because a session
// ended or the store was away. A form of another session changes nothing. It is
// shown filled in, by its refill, and sent by the person once more.

// keptForm is a form as it was sent.
type keptForm struct {
	Action string
	Label  string
	Fields []keptField
}

type keptField struct{ Name, Value string }

// formFields are all fields of the forms here. No other is kept.
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

// withForm adds the form that led to a page of a problem.
func withForm(p webPage, r *http.Request) webPage {
	if notice, ok := p.data.(noticeView); ok {
		notice.Again = keepForm(r, "Try again")
		p.data = notice
	}
	return p
}

// ofAnotherSession returns what was typed, with the reason why it is not carried
// out.
func ofAnotherSession(r *http.Request) *formValues {
	return &formValues{Values: r.PostForm, problems: map[string]string{
		"form": "This form was opened in another session. Look whether it is still right, then send it.",
	}}
}
