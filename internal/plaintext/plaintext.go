// Package plaintext makes text that came from outside safe to show: to a
// model, in a log, on a terminal.
//
// Names of tokens and messages of an API are written by other people. What such
// text may carry beside its letters (terminal escapes, text that runs
// backwards, runes that no eye sees but a model reads) is taken out here.
package plaintext

import (
	"strings"
	"unicode"
)

// Clean returns s on one line, without anything that is not there to be seen,
// and cut to limit runes (the last of which is then an ellipsis). White space
// of any kind and length becomes one space. A limit below one gives "".
func Clean(s string, limit int) string {
	if limit < 1 {
		return ""
	}
	var b strings.Builder
	count, pendingSpace := 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r):
			pendingSpace = count > 0
			continue
		case !IsVisible(r):
			continue
		}
		need := 1
		if pendingSpace {
			need = 2
		}
		if count+need > limit {
			return cut(b.String(), count, limit)
		}
		if pendingSpace {
			b.WriteByte(' ')
			pendingSpace = false
		}
		b.WriteRune(r)
		count += need
	}
	return b.String()
}

// cut makes room for the ellipsis in a text of count runes.
func cut(s string, count, limit int) string {
	if count >= limit {
		runes := []rune(s)
		s = string(runes[:limit-1])
	}
	return strings.TrimRight(s, " ") + "…"
}

// Visible reports whether every rune of s is one that Clean would keep where it
// is: no control, format, private or unassigned characters, no line breaks.
func Visible(s string) bool {
	for _, r := range s {
		if r != ' ' && (unicode.IsSpace(r) || !IsVisible(r)) {
			return false
		}
	}
	return true
}

// IsVisible reports whether r shows something, or is a space. It is the one list
// of invisible characters: controls, formats (direction marks, zero width, tags),
// private use, surrogates, unassigned code points, line and paragraph
// separators, fillers, variation selectors and symbols without a shape are not
// visible. U+FFFD, the trace of damaged text, counts as invisible, too.
func IsVisible(r rune) bool {
	switch r {
	case unicode.ReplacementChar,
		'\u2800',     // the empty Braille pattern
		'\uFFFC',     // the object replacement character
		'\U0001D159': // the musical symbol without a note head
		return false
	}
	if r > unicode.MaxLatin1 && unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return false
	}
	return unicode.IsGraphic(r)
}
