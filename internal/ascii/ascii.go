// Package ascii compares names of protocols, such as hosts, schemes and header
// values, in any case of their ASCII letters. The functions of package strings
// fold other letters, too: to them "K" (U+212A) is a k, and "ſ" (U+017F) an s.
package ascii

import "strings"

// Lower returns s with its ASCII letters in lower case and everything else as it
// is.
func Lower(s string) string {
	for i := range len(s) {
		if isUpper(s[i]) {
			return lower(s)
		}
	}
	return s
}

func lower(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		if isUpper(c) {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// EqualFold reports whether s and t are the same but for the case of ASCII
// letters.
func EqualFold(s, t string) bool { return len(s) == len(t) && Lower(s) == Lower(t) }
