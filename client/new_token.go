package client

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

const (
	maxNameRunes = 100
	minYear      = 1970
	maxYear      = 9999 // the last that RFC 3339 can write

	maxPermissionLen = 64
)

// NewToken is what a token to be created should be like.
type NewToken struct {
	// Name is a label for people: 1 to 100 characters (code points), without outer white
	// space, control and invisible characters. Joiners and variation selectors are allowed
	// where a script or an emoji needs them.
	Name string
	// ExpiresAt is the expiry, nil for never. It must be in the future. It is sent in UTC,
	// cut to whole seconds.
	ExpiresAt *time.Time
	// ValidFrom is from when the token is valid (an extension), nil for at once. It must be
	// before ExpiresAt.
	ValidFrom *time.Time
	// Permissions narrow the token to some of what its user may do, such as "read:leads" (an
	// extension). Nil leaves it to the API: all that the user may do, or that the creating
	// token may.
	Permissions []string
}

// createRequest is a checked NewToken as it goes on the wire.
type createRequest struct {
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// The names of extensions are left out unless they are asked for.
	ValidFrom   *time.Time `json:"valid_from,omitempty"`
	Permissions []string   `json:"permissions,omitempty"`
}

// checked returns the request for n. The error is a sentence for people.
func (n NewToken) checked(now time.Time) (createRequest, error) {
	if err := checkName(n.Name); err != nil {
		return createRequest{}, err
	}
	req := createRequest{Name: n.Name}
	var err error
	if req.ExpiresAt, err = checkedExpiry(n.ExpiresAt, now); err != nil {
		return createRequest{}, err
	}
	if req.ValidFrom, err = checkedStart(n.ValidFrom, req.ExpiresAt); err != nil {
		return createRequest{}, err
	}
	if req.Permissions, err = checkedPermissions(n.Permissions); err != nil {
		return createRequest{}, err
	}
	return req, nil
}

// checkedExpiry returns at as it goes on the wire.
func checkedExpiry(at *time.Time, now time.Time) (*time.Time, error) {
	if at == nil {
		return nil, nil
	}
	sent := at.UTC().Truncate(time.Second)
	switch {
	case sent.Year() > maxYear:
		return nil, fmt.Errorf("the expiry must not be after the year %d; leave it out for a token that never expires", maxYear)
	case !sent.After(now):
		return nil, fmt.Errorf("the expiry %s is not in the future", at.UTC().Format(time.RFC3339))
	}
	return &sent, nil
}

// checkedStart returns at as it goes on the wire. expires is nil for never or unknown.
func checkedStart(at, expires *time.Time) (*time.Time, error) {
	if at == nil {
		return nil, nil
	}
	sent := at.UTC().Truncate(time.Second)
	switch {
	case sent.Year() > maxYear || sent.Year() < minYear:
		return nil, fmt.Errorf("the start must lie in the years %d to %d", minYear, maxYear)
	case expires != nil && !sent.Before(*expires):
		return nil, fmt.Errorf("the start %s is not before the expiry", sent.Format(time.RFC3339))
	}
	return &sent, nil
}

// checkedPermissions returns names sorted, each once.
func checkedPermissions(names []string) ([]string, error) {
	if names == nil {
		return nil, nil
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("a token needs a permission at least; leave them out for all that its user may do")
	}
	for _, name := range names {
		if !isPermission(name) {
			return nil, fmt.Errorf("a permission is 1 to %d characters such as %q, without spaces", maxPermissionLen, "read:leads")
		}
	}
	return sortedOnce(names), nil
}

func sortedOnce(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// isPermission reports whether name has the form of a permission. Only the API knows which
// exist.
func isPermission(name string) bool {
	if name == "" || len(name) > maxPermissionLen {
		return false
	}
	for i := range len(name) {
		if !isTokenByte(name[i]) && name[i] != ':' && name[i] != '.' {
			return false
		}
	}
	return true
}

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("the token needs a name of 1 to %d characters that tells what it is for", maxNameRunes)
	case !utf8.ValidString(name):
		return fmt.Errorf("the name of the token is not valid UTF-8")
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("the name of the token begins or ends in white space; leave that out")
	}
	if n := utf8.RuneCountInString(name); n > maxNameRunes {
		return fmt.Errorf("the name of the token has %d characters; at most %d are allowed", n, maxNameRunes)
	}
	if unseen, found := plaintext.FindUnseen(name); found {
		return fmt.Errorf("the name of the token holds %v; leave it out", unseen)
	}
	return nil
}
