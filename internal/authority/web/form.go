package web

import (
	"crypto/rand"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// tokenForm describes a token.
type tokenForm struct {
	Editing bool
	Action  string
	Form    string // its own name, where it may be sent once only
	Seen    string // the token that it shows, as [fingerprint] returns it

	Prefix      string // of the token that is edited
	Name        string
	Expiry      string // a number of days, "date", "never" or "keep"
	Expiries    []expiryChoice
	ExpiresAt   string // for "date"
	ValidFrom   string
	Narrowed    bool
	Permissions []permissionChoice

	Problems map[string]string // by field, as [InvalidError] names them
}

// complaint is what is wrong with a field, and the id of the part of the form to correct. The
// field itself is not the target: after Enter on a link, browsers move the focus before the
// key is typed, which would send the form.
type complaint struct{ Target, Text string }

// Complaints are the problems that belong to a field, in the order of the page.
func (f tokenForm) Complaints() []complaint {
	var all []complaint
	for _, c := range []struct{ field, target string }{
		{"name", "name-part"}, {"expires_at", "expires-part"}, {"valid_from", "valid-part"}, {"permissions", "permissions-part"},
	} {
		if text := f.Problems[c.field]; text != "" {
			all = append(all, complaint{c.target, text})
		}
	}
	return all
}

type expiryChoice struct{ Value, Label string }

type permissionChoice struct {
	Name   string
	Chosen bool
	Held   bool // by the role now
}

const (
	expiryOnDate = "date"
	expiryNever  = "never"
	expiryKeep   = "keep" // as the token has it

	scopeAll  = "all"  // of the role's permissions
	scopeSome = "some" // that are chosen
)

// expiryDays are the lifetimes on offer.
var expiryDays = []int{7, 30, 60, 90}

func lifetimes() []expiryChoice {
	choices := make([]expiryChoice, 0, len(expiryDays)+1)
	for _, days := range expiryDays {
		choices = append(choices, expiryChoice{strconv.Itoa(days), "In " + strconv.Itoa(days) + " days"})
	}
	return choices
}

// localTime is the format of datetime-local fields (HTML Standard, "local date and time
// string"). They are in UTC here.
const localTime = "2006-01-02T15:04:05"

func readLocalTime(field, text string) (*time.Time, error) {
	for _, layout := range []string{localTime, "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return &t, nil
		}
	}
	return nil, &domain.InvalidError{Field: field, Problem: "must be a date and a time of day, such as 2026-12-31T23:59"}
}

// sameLocalTime reports whether two fields hold the same time, or the same invalid text.
func sameLocalTime(a, b string) bool {
	at, errA := readLocalTime("", a)
	bt, errB := readLocalTime("", b)
	if errA != nil || errB != nil {
		return a == b
	}
	return at.Equal(*bt)
}

func writeLocalTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(localTime)
}

// formValues is the user's input, with its problems.
type formValues struct {
	url.Values
	problems map[string]string
}

// fieldSubjects begin a sentence that the API's message completes.
var fieldSubjects = map[string]string{
	"name": "The name", "expires_at": "The expiry", "valid_from": "“Valid from”", "permissions": "The choice of permissions",
}

// fieldWords replace the API's names of fields by the page's.
var fieldWords = strings.NewReplacer("expires_at", "the expiry", "valid_from", "“Valid from”")

// complain records what is wrong with a field. It returns other errors.
func (v *formValues) complain(err error) error {
	var invalid *domain.InvalidError
	var forbidden *domain.ForbiddenError
	switch {
	case errors.As(err, &invalid):
		v.problems[invalid.Field] = fieldSubjects[invalid.Field] + " " + fieldWords.Replace(invalid.Problem) + "."
	case errors.Is(err, domain.ErrTokenLimit):
		v.problems["form"] = upperFirst(domain.ErrTokenLimit.Error()) + "."
	case errors.As(err, &forbidden):
		v.problems["permissions"] = upperFirst(forbidden.Reason) + "."
	default:
		return err
	}
	return nil
}

func (v *formValues) name() string { return v.Get("name") }

// expires returns the expiry, nil for never. keep is the current one.
func (v *formValues) expires(now time.Time, keep *time.Time) *time.Time {
	switch choice := v.Get("expiry"); choice {
	case expiryNever:
		return nil
	case expiryKeep:
		return keep
	case expiryOnDate:
		t, err := readLocalTime("expires_at", v.Get("expires_at"))
		if err != nil {
			v.problems["expires_at"] = "The expiry must be a date and a time of day."
		}
		return t
	default:
		days, err := strconv.Atoi(choice)
		if err != nil || !slices.Contains(expiryDays, days) {
			v.problems["expires_at"] = "Choose when the token expires."
			return nil
		}
		t := now.Add(time.Duration(days) * 24 * time.Hour)
		return &t
	}
}

func (v *formValues) validFrom() *time.Time {
	text := v.Get("valid_from")
	if text == "" {
		return nil
	}
	t, err := readLocalTime("valid_from", text)
	if err != nil {
		v.problems["valid_from"] = "“Valid from” must be a date and a time of day, or empty."
	}
	return t
}

// permissions returns the chosen permissions, nil for all of the role.
func (v *formValues) permissions() domain.PermissionSet {
	if v.Get("scope") != scopeSome {
		return nil
	}
	set, err := domain.ParsePermissions(v.Values["permission"])
	if err != nil {
		v.problems["permissions"] = "Choose at least one permission, or everything that your role holds."
	}
	return set
}

// again returns the form with the user's input and its problems. Unknown permissions are left
// out.
func (v *formValues) again(f tokenForm, held domain.PermissionSet) tokenForm {
	typed := maps.Clone(v.Values)
	typed["permission"] = slices.DeleteFunc(slices.Clone(v.Values["permission"]), func(name string) bool {
		return !domain.KnownPermissions.Contains(domain.Permission(name)) && !f.offers(name)
	})
	f.fill(typed, held)
	f.Problems = v.problems
	return f
}

func (f *tokenForm) offers(name string) bool {
	return slices.ContainsFunc(f.Permissions, func(c permissionChoice) bool { return c.Name == name })
}

// fill sets the form's values. Besides the role's permissions, the chosen ones are offered, so
// that saving does not remove permissions that the role lost.
func (f *tokenForm) fill(values url.Values, held domain.PermissionSet) {
	f.Name, f.Expiry, f.ExpiresAt, f.ValidFrom = values.Get("name"), values.Get("expiry"), values.Get("expires_at"), values.Get("valid_from")
	f.Narrowed = values.Get("scope") == scopeSome
	chosen := domain.PermissionsNamed(values["permission"])
	f.Permissions = nil
	for _, p := range domain.NewPermissionSet(slices.Concat(held, chosen)...) {
		f.Permissions = append(f.Permissions, permissionChoice{Name: string(p), Chosen: chosen.Contains(p), Held: held.Contains(p)})
	}
}

// newFormName returns 130 random bits.
func newFormName() string { return rand.Text() }
