package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

func newEditForm(t domain.Token, held domain.PermissionSet) tokenForm {
	f := tokenForm{
		Editing: true, Action: tokenPath(t.ID), Seen: fingerprint(t), Prefix: t.Prefix, Expiries: lifetimes(),
	}
	if t.ExpiresAt != nil {
		f.Expiries = append([]expiryChoice{{expiryKeep, "As it is: " + optionalDate(t.ExpiresAt, "")}}, f.Expiries...)
	}
	f.fill(shown(t), held)
	return f
}

// editableToken returns the token in the address, or why it cannot be changed.
func (h *Handler) editableToken(r *http.Request, as domain.Identity) (domain.Token, error) {
	t, err := h.ownToken(r, as)
	switch {
	case err != nil:
		return domain.Token{}, err
	case t.RevokedAt != nil:
		return domain.Token{}, domain.ErrTokenRevoked
	case t.OrgID != as.OrgID:
		return domain.Token{}, domain.ErrOtherOrganization
	}
	return t, nil
}

func (h *Handler) serveEditForm(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	t, err := h.editableToken(r, as)
	if err != nil {
		return err
	}
	return h.showForm(w, as, http.StatusOK, "Edit a token", newEditForm(t, as.Permissions))
}

// serveEdit changes only what differs from the token, so that the rest is not validated again.
func (h *Handler) serveEdit(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	t, err := h.editableToken(r, as)
	if err != nil {
		return err
	}
	if r.PostForm.Get("seen") != fingerprint(t) {
		return h.showConflict(w, r, as, t)
	}
	values := &formValues{Values: r.PostForm, problems: map[string]string{}}
	change := changeOf(t, values, h.Gateway.Now())
	if len(values.problems) == 0 && !change.Empty() {
		_, err := h.Tokens.Update(r.Context(), as, t.ID, change)
		switch {
		case errors.Is(err, domain.ErrTokenRevoked):
			return err
		case errors.Is(err, domain.ErrChangedMeanwhile):
			if t, err = h.editableToken(r, as); err != nil {
				return err
			}
			return h.showConflict(w, r, as, t)
		}
		if err := values.complain(err); err != nil {
			return err
		}
	}
	if len(values.problems) > 0 {
		return h.showForm(w, as, statusOf(values.problems), "Edit a token", values.again(newEditForm(t, as.Permissions), as.Permissions))
	}
	return h.seeOther(w, tokensPath+"?saved="+url.QueryEscape(t.ID))
}

// refillEdit shows the input of a page whose session has ended.
func (h *Handler) refillEdit(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	t, err := h.editableToken(r, as)
	if err != nil {
		return err
	}
	if r.PostForm.Get("seen") != fingerprint(t) {
		return h.showConflict(w, r, as, t)
	}
	return h.showForm(w, as, http.StatusForbidden, "Edit a token", ofAnotherSession(r).again(newEditForm(t, as.Permissions), as.Permissions))
}

func changeOf(t domain.Token, values *formValues, now time.Time) domain.TokenChange {
	change := domain.TokenChange{Expected: func(now domain.Token) bool { return fingerprint(now) == fingerprint(t) }}
	if name := values.name(); name != t.Name {
		change.Name = domain.SetTo(name)
	}
	if begin := values.validFrom(); writeLocalTime(begin) != writeLocalTime(t.ValidFrom) {
		change.ValidFrom = domain.SetTo(begin)
	}
	if end := values.expires(now, t.ExpiresAt); !sameTime(end, t.ExpiresAt) {
		change.Expires = domain.SetTo(end)
	}
	if permissions := values.permissions(); (permissions == nil) != (t.Permissions == nil) || !slices.Equal(permissions, t.Permissions) {
		change.Permissions = domain.SetTo(permissions)
	}
	return change
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// A token that was changed elsewhere while its form is open is not overwritten: the form comes
// back with both.

// shown returns the form of a token without any edits.
func shown(t domain.Token) url.Values {
	shown := url.Values{
		"name": {t.Name}, "valid_from": {writeLocalTime(t.ValidFrom)},
		"expiry": {expiryNever}, "expires_at": {writeLocalTime(t.ExpiresAt)},
		"scope": {scopeAll}, "permission": t.Permissions.Names(),
	}
	if t.ExpiresAt != nil {
		shown.Set("expiry", expiryKeep)
	}
	if t.Permissions != nil {
		shown.Set("scope", scopeSome)
	}
	return shown
}

// fingerprint differs if anything differs that can be edited.
func fingerprint(t domain.Token) string { return shown(t).Encode() }

// formPart is a part of the form that is decided as a whole.
type formPart struct {
	field string // as [InvalidError] names it
	names []string
	// left reports whether the user left the part unchanged.
	left func(typed, seen url.Values) bool
	// now returns the token's value, in words.
	now func(domain.Token) string
}

var formParts = []formPart{
	{
		field: "name", names: []string{"name"},
		left: func(typed, seen url.Values) bool { return typed.Get("name") == seen.Get("name") },
		now:  func(t domain.Token) string { return "“" + t.Name + "”" },
	},
	{
		field: "expires_at", names: []string{"expiry", "expires_at"},
		left: func(typed, seen url.Values) bool {
			return typed.Get("expiry") == expiryKeep || typed.Get("expiry") == seen.Get("expiry")
		},
		now: func(t domain.Token) string { return optionalDate(t.ExpiresAt, "never") },
	},
	{
		field: "valid_from", names: []string{"valid_from"},
		// Browsers leave out zero seconds.
		left: func(typed, seen url.Values) bool {
			return sameLocalTime(typed.Get("valid_from"), seen.Get("valid_from"))
		},
		now: func(t domain.Token) string { return optionalDate(t.ValidFrom, "its creation") },
	},
	{
		field: "permissions", names: []string{"scope", "permission"},
		left: func(typed, seen url.Values) bool {
			return typed.Get("scope") == seen.Get("scope") && (typed.Get("scope") != scopeSome || slices.Equal(typed["permission"], seen["permission"]))
		},
		now: func(t domain.Token) string { return permissionsInWords(t.Permissions) },
	},
}

// showConflict answers a form whose token t has changed since. The page keeps the user's
// edits and shows everything else as it is now.
func (h *Handler) showConflict(w http.ResponseWriter, r *http.Request, as domain.Identity, t domain.Token) error {
	seen, err := url.ParseQuery(r.PostForm.Get("seen"))
	if err != nil || len(seen) == 0 {
		return notAsItsPage()
	}
	now, merged := shown(t), url.Values{}
	problems := map[string]string{
		"form": "The token was changed after this form was opened. The form keeps your changes and shows the new values of everything else. Check it, then save.",
	}
	for _, part := range formParts {
		from := now
		if !part.left(r.PostForm, seen) {
			from = r.PostForm
			if !part.same(seen, now) {
				problems[part.field] = fieldSubjects[part.field] + " was changed meanwhile. It is now: " + part.now(t) + "."
			}
		}
		for _, name := range part.names {
			merged[name] = from[name]
		}
	}
	values := &formValues{Values: merged, problems: problems}
	return h.showForm(w, as, http.StatusConflict, "Edit a token", values.again(newEditForm(t, as.Permissions), as.Permissions))
}

// same reports whether two forms agree in the part.
func (p formPart) same(a, b url.Values) bool {
	return !slices.ContainsFunc(p.names, func(name string) bool { return !slices.Equal(a[name], b[name]) })
}

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
