package authority

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// maxNameCharacters is the limit of a token's name in Unicode code points
// (kenbun API documentation, Personal Access Tokens).
const maxNameCharacters = 100

// The years in which a token can begin or end. RFC 3339 can write no later one,
// and an earlier one is a mistake.
const (
	minYear = 1970
	maxYear = 9999
)

func validateTokenName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return &InvalidError{Field: "name", Problem: "is required: give a label by which you will know the token again"}
	case n > maxNameCharacters:
		return &InvalidError{Field: "name", Problem: fmt.Sprintf("has %d characters: use at most %d", n, maxNameCharacters)}
	}
	return validateSeen("name", name)
}

// validateSeen refuses text that holds something that its reader does not see.
func validateSeen(field, text string) error {
	if unseen, found := plaintext.FindUnseen(text); found {
		return &InvalidError{Field: field, Problem: fmt.Sprintf("holds a character that cannot be seen, %v: leave it out", unseen)}
	}
	return nil
}

// rfc3339 is the date-time of RFC 3339, section 5.6. [time.Parse] takes more
// than that: a single digit for the hour, a decimal comma, offsets of a day.
var rfc3339 = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
})

// parseTime reads the value of a field that holds a point in time.
func parseTime(field, s string) (*time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || !rfc3339().MatchString(s) {
		return nil, &InvalidError{Field: field, Problem: "must be an RFC 3339 date and time with a zone, such as 2026-12-31T23:59:59Z"}
	}
	return &t, nil
}

// validateExpiry returns the expiry in whole seconds, which is what the wire
// shows: a token must not outlive the time that its owner was told.
func validateExpiry(expires *time.Time, now time.Time) (*time.Time, error) {
	if expires == nil {
		return nil, nil
	}
	t := expires.UTC().Truncate(time.Second)
	if t.Year() > maxYear {
		return nil, &InvalidError{Field: "expires_at", Problem: fmt.Sprintf("must be no later than the year %d", maxYear)}
	}
	if !t.After(now) {
		return nil, &InvalidError{Field: "expires_at", Problem: "must be in the future"}
	}
	return &t, nil
}

// validateBegin returns the time from which a token is valid in whole seconds,
// rounded up: a token must not work before the time that was asked for.
func validateBegin(begin *time.Time) (*time.Time, error) {
	if begin == nil {
		return nil, nil
	}
	t := begin.UTC().Truncate(time.Second)
	if t.Before(*begin) {
		t = t.Add(time.Second)
	}
	if t.Year() < minYear || t.Year() > maxYear {
		return nil, &InvalidError{Field: "valid_from", Problem: fmt.Sprintf("must be in a year from %d to %d", minYear, maxYear)}
	}
	return &t, nil
}

// validateValidity refuses a token that could never be used.
func validateValidity(begin, end *time.Time) error {
	if begin != nil && end != nil && !begin.Before(*end) {
		return &InvalidError{Field: "valid_from", Problem: "must be before expires_at, or the token would never be valid"}
	}
	return nil
}
