package plaintext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// SameName reports whether a and b are the same text to a reader. Unicode writes
// some texts in several normal forms, and an API may store another one.
func SameName(a, b string) bool {
	return a == b || norm.NFC.String(a) == norm.NFC.String(b)
}

// Fold returns s in the form in which texts are searched: without regard to case,
// to normal forms, and to joiners and variation selectors, which get lost when
// text is typed again.
func Fold(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case r == ideographicSpace:
			return ' '
		case unicode.In(r, unicode.Join_Control, unicode.Variation_Selector):
			return -1
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, s))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// Quote writes s in quotation marks. Unlike [strconv.Quote], it keeps all that a
// reader sees as it is, so that a name is shown as it was typed.
func Quote(s string) string {
	if !Visible(s) {
		return strconv.Quote(s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// QuoteShort quotes at most the first 40 runes of s, in ASCII, so that text from
// outside cannot become a message of its own.
func QuoteShort(s string) string {
	const limit = 40
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
