package plaintext

import (
	"fmt"
	"unicode"
)

// Unseen is a character of a text that a reader does not see, or not as what it
// is.
type Unseen struct {
	Rune rune
	// Position counts characters (code points) from 1.
	Position int
}

// FindUnseen returns the first character of s that must not be in a name. It is
// the one rule for names, wherever they come in: everything has to be seen, and
// the only spaces are the ordinary and the ideographic one. A joiner or a
// variation selector may be where a script or an emoji needs it.
func FindUnseen(s string) (Unseen, bool) {
	position := 1
	for part := range Parts(s) {
		if !part.Seen || part.IsSpace() && part.First != ' ' && part.First != ideographicSpace {
			return Unseen{part.First, position}, true
		}
		position += part.Runes
	}
	return Unseen{}, false
}

// String names the character and its place, such as "the joiner U+200D at
// character 3, which nothing there needs".
func (u Unseen) String() string {
	kind, note := "invisible character", ""
	switch r := u.Rune; {
	case r == unicode.ReplacementChar:
		kind, note = "character", ", the trace of damaged text"
	case unicode.Is(unicode.Bidi_Control, r):
		kind = "direction character"
	case unicode.Is(unicode.Join_Control, r):
		kind, note = "joiner", ", which nothing there needs"
	case unicode.Is(unicode.Variation_Selector, r):
		kind, note = "variation selector", ", which nothing there needs"
	case r >= firstTag && r <= cancelTag:
		kind = "tag character"
	case unicode.IsControl(r):
		kind = "control character"
	case unicode.Is(unicode.Zs, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		kind, note = "space character", ", which is not an ordinary space"
	case unicode.Is(unicode.Co, r):
		kind = "private character"
	case !unicode.IsOneOf(assigned, r):
		kind = "unassigned character"
	}
	return fmt.Sprintf("the %s %U at character %d%s", kind, u.Rune, u.Position, note)
}

var assigned = []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.C}
