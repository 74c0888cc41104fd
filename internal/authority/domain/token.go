package domain

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// Token is what is known of a token after it was issued.
type Token struct {
	ID         string
	OrgID      string
	Name       string
	Prefix     string
	CreatedAt  time.Time
	LastUsedAt *time.Time
	ExpiresAt  *time.Time
	RevokedAt  *time.Time

	ValidFrom   *time.Time    // nil means from its creation on
	Permissions PermissionSet // nil means that it is not narrowed

	ParentID       string     // the token that it was made with; empty for none
	RenewableUntil *time.Time // the latest expiry that it can give; nil means any
}

// State is whether a token works, as far as that depends on the token alone.
type State string

// The states of a token.
const (
	StateActive      State = "active"
	StateNotYetValid State = "not_yet_valid"
	StateExpired     State = "expired"
	StateRevoked     State = "revoked"
)

// State returns the state of the token at a time.
func (t Token) State(now time.Time) State {
	switch {
	case t.RevokedAt != nil:
		return StateRevoked
	case Expired(t.ExpiresAt, now):
		return StateExpired
	case NotYetValid(t.ValidFrom, now):
		return StateNotYetValid
	default:
		return StateActive
	}
}

// Issued is a new token. Formatting and logging leave out Value, the secret.
type Issued struct {
	ID          string
	Name        string
	Value       string
	Prefix      string // the part of Value that may be shown
	CreatedAt   time.Time
	ExpiresAt   *time.Time    // nil means never
	ValidFrom   *time.Time    // nil means from its creation on
	Permissions PermissionSet // nil means that it is not narrowed
}

// Format implements [fmt.Formatter] for every verb.
func (i Issued) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, i.ID+" "+i.Prefix) // fmt gives no way to report it
}

// LogValue implements [slog.LogValuer].
func (i Issued) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", i.ID), slog.String("prefix", i.Prefix))
}

// Use is one request that was made with a token.
type Use struct {
	TokenID   string
	At        time.Time
	RequestID string
	Method    string
	Path      string // the pattern and not the path itself, which is the caller's to write
	Status    int
}

// TokenRequest is what a new token is to be.
type TokenRequest struct {
	Name        string
	ValidFrom   *time.Time    // nil means from its creation on
	Expires     *time.Time    // nil means never
	Permissions PermissionSet // nil means that it is not narrowed

	// Form names a form of the session, which makes at most one token. It may be empty.
	Form string
}

// validate returns the request with its times in whole seconds.
func (r TokenRequest) validate(now time.Time) (TokenRequest, error) {
	if err := validateTokenName(r.Name); err != nil {
		return TokenRequest{}, err
	}
	var err error
	if r.Expires, err = validateExpiry(r.Expires, now); err != nil {
		return TokenRequest{}, err
	}
	if r.ValidFrom, err = validateBegin(r.ValidFrom); err != nil {
		return TokenRequest{}, err
	}
	return r, validateValidity(r.ValidFrom, r.Expires)
}

// maxNameCharacters bounds a token's name, in code points (kenbun API documentation,
// Personal Access Tokens).
const maxNameCharacters = 100

// The years in which a token can begin or end. RFC 3339 has no later one.
const (
	minYear = 1970
	maxYear = 9999
)

func validateTokenName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return &InvalidError{Field: "name", Problem: "is required: give a label that tells you later what the token is for"}
	case n > maxNameCharacters:
		return &InvalidError{Field: "name", Problem: fmt.Sprintf("has %d characters: use at most %d", n, maxNameCharacters)}
	}
	return validateSeen("name", name)
}

// validateSeen refuses text with invisible characters.
func validateSeen(field, text string) error {
	if unseen, found := plaintext.FindUnseen(text); found {
		return &InvalidError{Field: field, Problem: fmt.Sprintf("holds a character that cannot be seen, %v: leave it out", unseen)}
	}
	return nil
}

// rfc3339 is the date-time of RFC 3339, section 5.6. [time.Parse] accepts more than that.
var rfc3339 = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
})

// ParseTime reads the value of a field that holds a point in time.
func ParseTime(field, s string) (*time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || !rfc3339().MatchString(s) {
		return nil, &InvalidError{Field: field, Problem: "must be an RFC 3339 date and time with a zone, such as 2026-12-31T23:59:59Z"}
	}
	return &t, nil
}

// validateExpiry returns the expiry in whole seconds, as the owner sees it.
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

// validateBegin returns the start of validity, rounded up to whole seconds.
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
