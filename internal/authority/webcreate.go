package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// defaultExpiry is chosen until another is: an end is the rule, and none the
// exception.
const defaultExpiry = "30"

type shownView struct {
	Value string
	Facts []fact
}

func newCreateForm(as identity) tokenForm {
	f := tokenForm{Action: webTokensPath + "/new", Form: newFormName(), Expiries: lifetimes()}
	f.fill(url.Values{"expiry": {defaultExpiry}, "scope": {scopeAll}}, as.permissions)
	return f
}

func (a *Authority) serveCreateForm(w http.ResponseWriter, r *http.Request, as identity) error {
	return a.showForm(w, as, http.StatusOK, "Create a token", newCreateForm(as))
}

func (a *Authority) showForm(w http.ResponseWriter, as identity, status int, title string, f tokenForm) error {
	return a.show(w, as, webPage{template: "form", status: status, title: title, failed: len(f.Problems) > 0, data: f})
}

// serveCreate makes a token and answers with its value, which is on that page
// and on no other.
func (a *Authority) serveCreate(w http.ResponseWriter, r *http.Request, as identity) error {
	form := r.PostForm.Get("form")
	if len(form) != len(newFormName()) || !couldBeID(form) {
		return notAsItsPage()
	}
	values := &formValues{Values: r.PostForm, problems: map[string]string{}}
	request := tokenRequest{
		name: values.name(), validFrom: values.validFrom(), expires: values.expires(a.now(), nil), permissions: values.permissions(),
	}
	issued, err := a.createOnce(r.Context(), as, form, request, values)
	switch {
	case errors.Is(err, errFormSent):
		return formSentBefore()
	case err != nil:
		return err
	case len(values.problems) > 0:
		return a.showForm(w, as, statusOf(values.problems), "Create a token", values.again(newCreateForm(as), as.permissions))
	}
	return a.show(w, as, webPage{
		template: "shown", status: http.StatusCreated, title: "Copy your token now",
		data: shownView{Value: issued.Value, Facts: factsOfNew(issued)},
	})
}

// refillCreate shows what was typed into a page of a session that has ended.
func (a *Authority) refillCreate(w http.ResponseWriter, r *http.Request, as identity) error {
	return a.showForm(w, as, http.StatusForbidden, "Create a token", ofAnotherSession(r).again(newCreateForm(as), as.permissions))
}

// notAsItsPage answers a form without what its page put there.
func notAsItsPage() *problem {
	return badRequest("The form did not come from its page as it is. Open the page again.")
}

func factsOfNew(issued Issued) []fact {
	return []fact{
		{"Name", issued.Name},
		{"Begins with", issued.Prefix},
		{"Permissions", permissionsInWords(issued.permissions)},
		{"Valid from", optionalDate(issued.validFrom, "now")},
		{"Expires", optionalDate(issued.ExpiresAt, "never")},
	}
}

// createOnce makes the token of a form that was not sent before. What was
// refused made nothing, and the form may be sent again.
func (a *Authority) createOnce(ctx context.Context, as identity, form string, request tokenRequest, values *formValues) (Issued, error) {
	if err := a.validateRequest(as, request); err != nil {
		if err := values.complain(err); err != nil {
			return Issued{}, err
		}
	}
	if len(values.problems) > 0 {
		return Issued{}, nil
	}
	issued, err := a.createTokenAs(ctx, as, request, func(tx *sql.Tx) error { return claimForm(ctx, tx, as.credentialID, form) })
	if err != nil {
		return Issued{}, values.complain(err)
	}
	return issued, nil
}

// validateRequest finds what is wrong with a request before the store is asked.
func (a *Authority) validateRequest(as identity, request tokenRequest) error {
	if _, err := as.delegate(request.permissions); err != nil {
		return err
	}
	now := a.now()
	request, err := request.validate(now)
	if err != nil {
		return err
	}
	return a.withinLifetime(now, request.expires)
}

func statusOf(problems map[string]string) int {
	if problems["form"] != "" {
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

var errFormSent = errors.New("the form was sent before")

func formSentBefore() *problem {
	return &problem{
		status: http.StatusConflict, code: "form_sent",
		message: "This form was sent before. The token that it made is in your list, and its value is not shown again. If you did not copy it, revoke that token and create another.",
	}
}

// claimForm notes that a form was sent, or returns errFormSent. It belongs to the
// change that makes the form's token: a form that made none can be sent again.
func claimForm(ctx context.Context, tx *sql.Tx, sessionID, form string) error {
	result, err := tx.ExecContext(ctx, `
		INSERT INTO sent_forms (session_id, form) VALUES ($1, $2) ON CONFLICT (session_id, form) DO NOTHING`, sessionID, form)
	if err != nil {
		return fmt.Errorf("note that the form was sent: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("note that the form was sent: %w", err)
	} else if n == 0 {
		return errFormSent
	}
	return nil
}
