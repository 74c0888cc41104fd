package authority

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

func newEditForm(t token, held permissionSet) tokenForm {
	f := tokenForm{
		Editing: true, Action: tokenPath(t.id), Seen: t.fingerprint(), Prefix: t.prefix, Expiries: lifetimes(),
	}
	if t.expiresAt != nil {
		f.Expiries = append([]expiryChoice{{expiryKeep, "As it is: " + optionalDate(t.expiresAt, "")}}, f.Expiries...)
	}
	f.fill(t.shown(), held)
	return f
}

// editableToken returns the token that an address names, or why it cannot be
// changed.
func (a *Authority) editableToken(r *http.Request, as identity) (token, error) {
	t, err := a.ownToken(r, as)
	switch {
	case err != nil:
		return token{}, err
	case t.revokedAt != nil:
		return token{}, tokenRevoked()
	case t.orgID != as.orgID:
		return token{}, ofAnotherOrganization()
	}
	return t, nil
}

func (a *Authority) serveEditForm(w http.ResponseWriter, r *http.Request, as identity) error {
	t, err := a.editableToken(r, as)
	if err != nil {
		return err
	}
	return a.showForm(w, as, http.StatusOK, "Edit a token", newEditForm(t, as.permissions))
}

// serveEdit changes what differs from the token and leaves the rest, so that
// what stays is not judged again.
func (a *Authority) serveEdit(w http.ResponseWriter, r *http.Request, as identity) error {
	t, err := a.editableToken(r, as)
	if err != nil {
		return err
	}
	if r.PostForm.Get("seen") != t.fingerprint() {
		return a.showConflict(w, r, as, t)
	}
	values := &formValues{Values: r.PostForm, problems: map[string]string{}}
	change := changeOf(t, values, a.now())
	if len(values.problems) == 0 && !change.empty() {
		_, err := a.updateToken(r.Context(), as, t.id, change)
		switch {
		case errors.Is(err, errTokenRevoked):
			return err
		case errors.Is(err, errChangedMeanwhile):
			if t, err = a.editableToken(r, as); err != nil {
				return err
			}
			return a.showConflict(w, r, as, t)
		}
		if err := values.complain(err); err != nil {
			return err
		}
	}
	if len(values.problems) > 0 {
		return a.showForm(w, as, statusOf(values.problems), "Edit a token", values.again(newEditForm(t, as.permissions), as.permissions))
	}
	return a.seeOther(w, webTokensPath+"?saved="+url.QueryEscape(t.id))
}

// refillEdit shows what was typed into a page of a session that has ended.
func (a *Authority) refillEdit(w http.ResponseWriter, r *http.Request, as identity) error {
	t, err := a.editableToken(r, as)
	if err != nil {
		return err
	}
	if r.PostForm.Get("seen") != t.fingerprint() {
		return a.showConflict(w, r, as, t)
	}
	return a.showForm(w, as, http.StatusForbidden, "Edit a token", ofAnotherSession(r).again(newEditForm(t, as.permissions), as.permissions))
}

// errChangedMeanwhile is why a change is not made that was decided on what the
// token is no more: it could take back what somebody else did, such as having
// narrowed the token.
var errChangedMeanwhile = errors.New("the token was changed meanwhile")

func changeOf(t token, values *formValues, now time.Time) tokenChange {
	change := tokenChange{seen: t.fingerprint()}
	if name := values.name(); name != t.name {
		change.name = setTo(name)
	}
	if begin := values.validFrom(); writeLocalTime(begin) != writeLocalTime(t.validFrom) {
		change.validFrom = setTo(begin)
	}
	if end := values.expires(now, t.expiresAt); !sameTime(end, t.expiresAt) {
		change.expires = setTo(end)
	}
	if permissions := values.permissions(); (permissions == nil) != (t.permissions == nil) || !slices.Equal(permissions, t.permissions) {
		change.permissions = setTo(permissions)
	}
	return change
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}
