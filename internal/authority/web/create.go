package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// defaultExpiry is the default choice, in days.
const defaultExpiry = "30"

type shownView struct {
	Value string
	Facts []fact
}

func newCreateForm(as domain.Identity) tokenForm {
	f := tokenForm{Action: tokensPath + "/new", Form: newFormName(), Expiries: lifetimes()}
	f.fill(url.Values{"expiry": {defaultExpiry}, "scope": {scopeAll}}, as.Permissions)
	return f
}

func (h *Handler) serveCreateForm(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	return h.showForm(w, as, http.StatusOK, "Create a token", newCreateForm(as))
}

func (h *Handler) showForm(w http.ResponseWriter, as domain.Identity, status int, title string, f tokenForm) error {
	return h.show(w, as, webPage{template: "form", status: status, title: title, failed: len(f.Problems) > 0, data: f})
}

// serveCreate makes a token. Only its answer shows the value.
func (h *Handler) serveCreate(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	form := r.PostForm.Get("form")
	if len(form) != len(newFormName()) || !domain.CouldBeID(form) {
		return notAsItsPage()
	}
	values := &formValues{Values: r.PostForm, problems: map[string]string{}}
	request := domain.TokenRequest{
		Name: values.name(), ValidFrom: values.validFrom(), Expires: values.expires(h.Gateway.Now(), nil), Permissions: values.permissions(), Form: form,
	}
	issued, err := h.createOnce(r.Context(), as, request, values)
	switch {
	case errors.Is(err, domain.ErrFormSent):
		return formSentBefore()
	case err != nil:
		return err
	case len(values.problems) > 0:
		return h.showForm(w, as, statusOf(values.problems), "Create a token", values.again(newCreateForm(as), as.Permissions))
	}
	return h.show(w, as, webPage{
		template: "shown", status: http.StatusCreated, title: "Copy your token now",
		data: shownView{Value: issued.Value, Facts: factsOfNew(issued)},
	})
}

// refillCreate shows the input of a page whose session has ended.
func (h *Handler) refillCreate(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	return h.showForm(w, as, http.StatusForbidden, "Create a token", ofAnotherSession(r).again(newCreateForm(as), as.Permissions))
}

// notAsItsPage answers a form without the page's hidden fields.
func notAsItsPage() *exchange.Problem {
	return exchange.BadRequest("The form is not as its page sends it. Open the page again.")
}

func factsOfNew(issued domain.Issued) []fact {
	return []fact{
		{"Name", issued.Name},
		{"Begins with", issued.Prefix},
		{"Permissions", permissionsInWords(issued.Permissions)},
		{"Valid from", optionalDate(issued.ValidFrom, "now")},
		{"Expires", optionalDate(issued.ExpiresAt, "never")},
	}
}

// createOnce makes the token of a form that was not sent before. A refused form may be sent
// again.
func (h *Handler) createOnce(ctx context.Context, as domain.Identity, request domain.TokenRequest, values *formValues) (domain.Issued, error) {
	if err := h.Tokens.Check(as, request); err != nil {
		if err := values.complain(err); err != nil {
			return domain.Issued{}, err
		}
	}
	if len(values.problems) > 0 {
		return domain.Issued{}, nil
	}
	issued, err := h.Tokens.Create(ctx, as, request)
	if err != nil {
		return domain.Issued{}, values.complain(err)
	}
	return issued, nil
}

func statusOf(problems map[string]string) int {
	if problems["form"] != "" {
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

func formSentBefore() *exchange.Problem {
	return &exchange.Problem{
		Status: http.StatusConflict, Code: "form_sent",
		Message: "This form was sent before. Its token is in your list, and the value is not shown again. If you did not copy it, revoke that token and create another.",
	}
}
