package authority

import (
	"net/http"
	"net/url"
	"slices"
)

// What somebody changes in a form while the token is changed elsewhere, is not
// saved over it unseen: the form comes back with both.

// shown is what the form of a token sends as long as nobody changes anything in
// it. It differs as soon as anything differs that can be edited.
func (t token) shown() url.Values {
	shown := url.Values{
		"name": {t.name}, "valid_from": {writeLocalTime(t.validFrom)},
		"expiry": {expiryNever}, "expires_at": {writeLocalTime(t.expiresAt)},
		"scope": {scopeAll}, "permission": t.permissions.names(),
	}
	if t.expiresAt != nil {
		shown.Set("expiry", expiryKeep)
	}
	if t.permissions != nil {
		shown.Set("scope", scopeSome)
	}
	return shown
}

// fingerprint is that of all that can be edited.
func (t token) fingerprint() string { return t.shown().Encode() }

// formPart is a part of the form that is decided as one.
type formPart struct {
	field string // as [InvalidError] names it
	names []string
	// left reports whether a person left the part as it was shown.
	left func(typed, seen url.Values) bool
	// now tells in words what the token has there.
	now func(token) string
}

var formParts = []formPart{
	{
		field: "name", names: []string{"name"},
		left: func(typed, seen url.Values) bool { return typed.Get("name") == seen.Get("name") },
		now:  func(t token) string { return "“" + t.name + "”" },
	},
	{
		field: "expires_at", names: []string{"expiry", "expires_at"},
		left: func(typed, seen url.Values) bool {
			return typed.Get("expiry") == expiryKeep || typed.Get("expiry") == seen.Get("expiry")
		},
		now: func(t token) string { return optionalDate(t.expiresAt, "never") },
	},
	{
		field: "valid_from", names: []string{"valid_from"},
		// Browsers write the same time without its seconds, where they are zero.
		left: func(typed, seen url.Values) bool {
			return sameLocalTime(typed.Get("valid_from"), seen.Get("valid_from"))
		},
		now: func(t token) string { return optionalDate(t.validFrom, "its creation") },
	},
	{
		field: "permissions", names: []string{"scope", "permission"},
		left: func(typed, seen url.Values) bool {
			return typed.Get("scope") == seen.Get("scope") && (typed.Get("scope") != scopeSome || slices.Equal(typed["permission"], seen["permission"]))
		},
		now: func(t token) string { return permissionsInWords(t.permissions) },
	},
}

// showConflict answers a form whose token t is no longer as the form showed it:
// with what the person changed, and all else as it is now.
func (a *Authority) showConflict(w http.ResponseWriter, r *http.Request, as identity, t token) error {
	seen, err := url.ParseQuery(r.PostForm.Get("seen"))
	if err != nil || len(seen) == 0 {
		return notAsItsPage()
	}
	now, merged := t.shown(), url.Values{}
	problems := map[string]string{
		"form": "The token was changed after this form was opened. What you changed stands here as you left it, and all else as it is now. Look whether it is right, then save.",
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
	return a.showForm(w, as, http.StatusConflict, "Edit a token", values.again(newEditForm(t, as.permissions), as.permissions))
}

// same reports whether two tokens, as they are shown, agree in the part.
func (p formPart) same(a, b url.Values) bool {
	return !slices.ContainsFunc(p.names, func(name string) bool { return !slices.Equal(a[name], b[name]) })
}
