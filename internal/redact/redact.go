// Package redact finds the secrets of kenbun in text and takes them out. It
// holds the one list of what such secrets begin with.
//
// It is the last net, for text that should hold none: it knows secrets by their
// form alone.
package redact

import "strings"

// What the secrets of kenbun begin with.
const (
	// PAT begins a personal access token.
	PAT = "kbn_pat_"
	// Session begins the token of a signed-in session.
	Session = "kbn_session_"
	// Link begins the credential in a sign-in link.
	Link = "kbn_link_"
	// ServerKey begins the key of a server that acts for its own user.
	ServerKey = "kms_"
)

// PublicLen is how many characters after [PAT], [Session] or [Link] are public.
// They name the credential in lists and logs.
const PublicLen = 8

// Replacement stands where a secret was.
const Replacement = "[redacted]"

// form is what one kind of secret looks like: its literal and public
// characters, then secret ones. More than [PublicLen] characters after a literal
// make a secret of any kind.
type form struct {
	literal string
	public  int
}

var forms = []form{
	{PAT, PublicLen},
	{Session, PublicLen},
	{Link, PublicLen},
	{ServerKey, 0},
}

// Literals returns what the secrets begin with.
func Literals() []string {
	literals := make([]string, len(forms))
	for i, form := range forms {
		literals[i] = form.literal
	}
	return literals
}

// Secrets replaces the secret part of each secret in text, in any case. The
// literal and the public characters stay.
func Secrets(text string) string { return replace(text, true) }

// Whole replaces each secret in text, in any case, with its literal and its
// public characters.
func Whole(text string) string { return replace(text, false) }

// Holds reports whether text holds a secret.
func Holds(text string) bool {
	_, _, end := find(text, lower(text))
	return end > 0
}

func replace(text string, keepPublic bool) string {
	lowered := lower(text)
	var b strings.Builder
	for {
		start, public, end := find(text, lowered)
		if end == 0 {
			if b.Len() == 0 {
				return text
			}
			b.WriteString(text)
			return b.String()
		}
		if keepPublic {
			start += public
		}
		b.WriteString(text[:start])
		b.WriteString(Replacement)
		text, lowered = text[end:], lowered[end:]
	}
}

// find returns where the first secret of text stands, and how many bytes from
// its start are public. The end is 0 if there is none.
func find(text, lowered string) (start, public, end int) {
	for _, form := range forms {
		for from := 0; ; {
			at := strings.Index(lowered[from:], form.literal)
			if at < 0 {
				break
			}
			first := from + at
			opaque := first + len(form.literal)
			after := opaque
			for after < len(text) && isSecretByte(text[after]) {
				after++
			}
			if after-opaque > PublicLen {
				if end == 0 || first < start {
					start, end = first, after
					public = 0
					if form.public > 0 {
						public = len(form.literal) + form.public
					}
				}
				break
			}
			from = opaque
		}
	}
	return start, public, end
}

func isSecretByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
}

// lower keeps all positions, unlike strings.ToLower.
func lower(text string) string {
	for i := range len(text) {
		if text[i] >= 'A' && text[i] <= 'Z' {
			lowered := []byte(text)
			for j, c := range lowered {
				if c >= 'A' && c <= 'Z' {
					lowered[j] = c + 'a' - 'A'
				}
			}
			return string(lowered)
		}
	}
	return text
}
