package authority

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxNameCharacters is the limit of a token's name in Unicode code points
// (kenbun API documentation, Personal Access Tokens).
const maxNameCharacters = 100

// maxExpiryYear is the last that RFC 3339 can write.
const maxExpiryYear = 9999

func validateTokenName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return &InvalidError{Field: "name", Problem: "is required: give a label by which you will know the token again"}
	case n > maxNameCharacters:
		return &InvalidError{Field: "name", Problem: fmt.Sprintf("has %d characters: use at most %d", n, maxNameCharacters)}
	case !plainText(name):
		return &InvalidError{Field: "name", Problem: "holds control characters, line breaks or marks that turn the direction of text: leave them out"}
	}
	return nil
}

// plainText tells whether s is valid and can be shown in one line as it is.
// U+FFFD is refused as the trace of text that was damaged on its way.
func plainText(s string) bool {
	for _, r := range s {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// rfc3339 is the date-time of RFC 3339, section 5.6. [time.Parse] takes more
// than that: a single digit for the hour, a decimal comma, offsets of a day.
var rfc3339 = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
})

func parseExpiry(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || !rfc3339().MatchString(s) {
		return time.Time{}, &InvalidError{Field: "expires_at", Problem: "must be an RFC 3339 date and time with a zone, such as 2026-12-31T23:59:59Z"}
	}
	return t, nil
}

// validateExpiry returns the expiry in whole seconds, which is what the wire
// shows: a token must not outlive the time that its owner was told.
func validateExpiry(expires *time.Time, now time.Time) (*time.Time, error) {
	if expires == nil {
		return nil, nil
	}
	t := expires.UTC().Truncate(time.Second)
	if t.Year() > maxExpiryYear {
		return nil, &InvalidError{Field: "expires_at", Problem: fmt.Sprintf("must be no later than the year %d", maxExpiryYear)}
	}
	if !t.After(now) {
		return nil, &InvalidError{Field: "expires_at", Problem: "must be in the future"}
	}
	return &t, nil
}
