package client

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxNameRunes = 100
	maxYear      = 9999 // the last that RFC 3339 can write
)

// NewToken is what a token to be created should be like.
type NewToken struct {
	// Name is a label for people: 1 to 100 characters (code points), not beginning
	// or ending in white space, without control and invisible characters.
	Name string
	// ExpiresAt is when the token ends, nil for never. It must be in the future; it
	// is sent in UTC, cut to whole seconds.
	ExpiresAt *time.Time
}

// createRequest is a checked NewToken as it goes on the wire.
type createRequest struct {
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// checked returns the request for n. The error is a sentence for people.
func (n NewToken) checked(now time.Time) (createRequest, error) {
	if err := checkName(n.Name); err != nil {
		return createRequest{}, err
	}
	req := createRequest{Name: n.Name}
	if n.ExpiresAt != nil {
		at := n.ExpiresAt.UTC().Truncate(time.Second)
		switch {
		case at.Year() > maxYear:
			return createRequest{}, fmt.Errorf("the expiry must not be after the year %d; leave it out for a token that never expires", maxYear)
		case !at.After(now):
			return createRequest{}, fmt.Errorf("the expiry %s is not in the future", n.ExpiresAt.UTC().Format(time.RFC3339))
		}
		req.ExpiresAt = &at
	}
	return req, nil
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
	for _, r := range name {
		if isInvisible(r) || unicode.IsSpace(r) && r != ' ' && !unicode.Is(unicode.Zs, r) {
			return fmt.Errorf("the name of the token holds the invisible character %U; leave it out", r)
		}
	}
	return nil
}
