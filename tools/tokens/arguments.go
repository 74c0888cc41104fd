package tokens

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
)

// allPermissions stands, in place of names, for all that the user's role holds.
const allPermissions = "all"

// permissionsWanted are what a call wants a token to be narrowed to.
type permissionsWanted struct {
	given bool
	all   bool
	names []string // sorted, each once; nil for all
}

// wantedPermissions reads the argument "permissions".
func (c *call) wantedPermissions() (permissionsWanted, error) {
	names := slices.Clone(c.Args.List("permissions"))
	if names == nil {
		return permissionsWanted{}, nil
	}
	if slices.Contains(names, allPermissions) {
		if len(names) > 1 {
			return permissionsWanted{}, tools.InvalidArgument(`"permissions" holds %q beside others`, allPermissions).
				Advise("Give [%q] alone, or the names without it.", allPermissions)
		}
		return permissionsWanted{given: true, all: true}, nil
	}
	for _, name := range names {
		if !isPermission(name) {
			return permissionsWanted{}, tools.InvalidArgument(`"permissions" cannot hold %q`, tools.Shown(name, 40)).
				Advise(`A permission is a word such as "read:leads", in lower case; give each as an entry of its own.`)
		}
	}
	slices.Sort(names)
	return permissionsWanted{given: true, names: slices.Compact(names)}, nil
}

// isPermission reports whether name has the form of a permission. Only the API knows which
// exist.
func isPermission(name string) bool {
	for _, r := range name {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && !strings.ContainsRune("_-:.", r) {
			return false
		}
	}
	return name != "" && len(name) <= tools.MaxPermissionLength
}

// grantable refuses names that the caller cannot grant, if the API says which it can.
func (c *call) grantable(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	known, err := c.Caller.API.GrantablePermissions(ctx)
	if err != nil {
		c.Log.Debug("the API does not tell which permissions there are", "cause", err)
		return nil
	}
	if known == nil {
		return nil
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return tools.InvalidArgument(`"permissions" cannot hold %q: this user's token does not have it, or there is no such permission`, name).
				Advise("Use some of: %s.", tools.PermissionWords(tools.ShownPermissions(known, tools.MaxPermissions)))
		}
	}
	return nil
}

// narrowing returns permissions in a canonical form.
func narrowing(names []string) string {
	if names == nil {
		return allPermissions
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return strings.Join(sorted, " ")
}

// widens reports whether permissions to hold something that from does not.
func widens(from, to []string) bool {
	if from == nil || to == nil {
		return from != nil
	}
	return slices.ContainsFunc(to, func(name string) bool { return !slices.Contains(from, name) })
}

// maxExpiresDays keeps an end within the years that RFC 3339 can write.
const maxExpiresDays = 36500

// never is the end of a token that has none.
const never = "never"

// expiresForms is how each message names what ParseExpires takes.
const expiresForms = `a number of days such as "7d" or "30d", a time with a zone such as "2027-01-01T00:00:00Z" (RFC 3339), or "never"`

var daysForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]+d$`) })

// ParseExpires reads when a token expires: a number of days from now ("30d", to the second),
// an RFC 3339 time with a zone, or "never", for which it returns nil. The time is in the
// future, in UTC, in whole seconds. An error is an *[Error] with [CodeInvalidArgument] that
// says what to write.
func ParseExpires(s string, now time.Time) (*time.Time, error) {
	if s == never {
		return nil, nil
	}
	return laterThan(now, "expires", s, never, expiresForms)
}

// validFromForms is how each message names what ParseValidFrom takes.
const validFromForms = `a number of days from now such as "7d", a time with a zone such as "2027-01-01T00:00:00Z" (RFC 3339), or "now"`

// atOnce is the start of a token that has none.
const atOnce = "now"

// ParseValidFrom reads from when a token is valid, as [ParseExpires] does, with "now" (nil)
// in place of "never".
func ParseValidFrom(s string, now time.Time) (*time.Time, error) {
	if s == atOnce {
		return nil, nil
	}
	return laterThan(now, "valid_from", s, atOnce, validFromForms)
}

// laterThan reads a number of days or a time after now. word is what else the argument
// takes; forms describes all of it.
func laterThan(now time.Time, name, s, word, forms string) (*time.Time, error) {
	if daysForm().MatchString(s) {
		return inDays(now, name, s)
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, malformedTime(name, s, word, forms)
	}
	at = at.UTC().Truncate(time.Second)
	switch {
	case at.Year() > 9999:
		return nil, tools.InvalidArgument(`%q lies after the year 9999`, name).Advise("Give %s.", forms)
	case !at.After(now):
		return nil, tools.InvalidArgument(`%q lies in the past: it is now %s`, name, now.UTC().Format(time.RFC3339)).
			Advise("Give a later time, or a number of days such as \"30d\".")
	}
	return &at, nil
}

func inDays(now time.Time, name, s string) (*time.Time, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, "d"))
	switch {
	case err != nil || n > maxExpiresDays:
		return nil, tools.InvalidArgument(`%q is more than %d days away`, name, maxExpiresDays).
			Advise("Give a smaller number of days.")
	case n == 0:
		return nil, tools.InvalidArgument(`%q cannot be "%s": that is at once`, name, plaintext.Clean(s, 20)).
			Advise(`Give at least "1d".`)
	}
	at := now.UTC().Add(time.Duration(n) * day).Truncate(time.Second)
	return &at, nil
}

// malformedTime finds out what was probably meant.
func malformedTime(name, s, word, forms string) error {
	e := tools.InvalidArgument(`%q cannot be %q`, name, tools.Shown(s, 40))
	trimmed := strings.TrimSpace(s)
	if n, err := strconv.Atoi(trimmed); err == nil && n > 0 {
		return e.Advise(`A number needs its unit: for %d days write "%dd".`, n, n)
	}
	if lower := strings.ToLower(trimmed); lower != s && (lower == word || daysForm().MatchString(lower)) {
		return e.Advise("Write it as %q, in lower case and without spaces.", lower)
	}
	if strings.HasPrefix(trimmed, "-") {
		return e.Advise("It has to lie in the future. Give %s.", forms)
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, trimmed); err == nil {
			return e.Advise("A time needs a zone: for UTC write %q.", at.Format("2006-01-02T15:04:05")+"Z")
		}
	}
	return e.Advise("Give %s.", forms)
}
