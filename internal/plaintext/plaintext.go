// Package plaintext makes text that came from outside safe to show: to a
// model, in a log, on a terminal. It also tells which text may be a name.
//
// Names of tokens and messages of an API are written by other people. What such
// text may carry beside its letters (terminal escapes, text that runs
// backwards, runes that no eye sees but a model reads) is taken out here.
// Joiners and variation selectors stay where a script or an emoji needs them.
package plaintext

import (
	"strings"
	"unicode"
)

// ideographicSpace is the space of Chinese and Japanese text, which is as wide as
// a character.
const ideographicSpace = '\u3000'

// Clean returns s on one line, without anything that is not there to be seen,
// and cut to limit runes (the last of which is then an ellipsis). White space
// of any kind and length becomes one space, other than a single ideographic
// space. A limit below one gives "".
func Clean(s string, limit int) string {
	if limit < 1 {
		return ""
	}
	if len(s) <= limit && isTidy(s) {
		return s
	}
	return clean(s, limit)
}

// isTidy reports whether s has only visible ASCII characters and single spaces between
// them, which [Clean] leaves as it is.
func isTidy(s string) bool {
	spaced := true
	for i := range len(s) {
		switch c := s[i]; {
		case c > ' ' && c <= '~':
			spaced = false
		case c == ' ' && !spaced:
			spaced = true
		default:
			return false
		}
	}
	return !spaced || s == ""
}

func clean(s string, limit int) string {
	var b strings.Builder
	count, pending := 0, rune(0)
	for part := range Parts(s) {
		if part.IsSpace() {
			switch {
			case count == 0:
			case pending == 0 && part.First == ideographicSpace:
				pending = ideographicSpace
			default:
				pending = ' '
			}
			continue
		}
		if !part.Seen {
			continue
		}
		if pending != 0 {
			b.WriteRune(pending)
			pending = 0
			count++
		}
		b.WriteString(part.Text)
		if count += part.Runes; count > limit {
			return Cut(b.String(), limit)
		}
	}
	return b.String()
}

// Cut shortens s to limit runes, of which the last is then an ellipsis. Of an
// emoji of several runes it leaves all or nothing. A limit below one gives "".
func Cut(s string, limit int) string {
	if limit < 1 {
		return ""
	}
	count, fits := 0, 0
	for part := range Parts(s) {
		if count += part.Runes; count > limit {
			return strings.TrimRightFunc(whole(s[:fits]), unicode.IsSpace) + "…"
		}
		if count < limit {
			fits += len(part.Text)
		}
	}
	return s
}

// whole is s without the joiners that need what was cut off.
func whole(s string) string {
	var b strings.Builder
	for part := range Parts(s) {
		if part.Seen || part.First == unicode.ReplacementChar {
			b.WriteString(part.Text)
		}
	}
	return b.String()
}

// Visible reports whether Clean would keep every rune of s where it is: s holds
// no control, format, private or unassigned characters, no line breaks, and
// joiners and variation selectors only where they are needed.
func Visible(s string) bool {
	_, found := FindUnseen(s)
	return !found
}

// IsVisible reports whether r shows something by itself, or is a space. It is the
// one list of invisible characters: controls, formats (direction marks, zero
// width, tags), private use, surrogates, unassigned code points, line and
// paragraph separators, fillers, variation selectors and symbols without a shape
// are not visible. U+FFFD, the trace of damaged text, counts as invisible, too.
func IsVisible(r rune) bool {
	switch r {
	case unicode.ReplacementChar,
		'\u2800',     // the empty Braille pattern
		'\uFFFC',     // the object replacement character
		'\U0001D159': // the musical symbol without a note head
		return false
	}
	if r <= unicode.MaxLatin1 {
		return unicode.IsGraphic(r)
	}
	if unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return false
	}
	// Emoji may be newer than the tables of package unicode, and some format
	// characters are signs that span the digits after them.
	return unicode.IsGraphic(r) || unicode.In(r, emoji, unicode.Prepended_Concatenation_Mark)
}
