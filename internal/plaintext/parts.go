package plaintext

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	nonJoiner      = '\u200C'
	joiner         = '\u200D'
	textStyle      = '\uFE0E'
	emojiStyle     = '\uFE0F'
	keycap         = '\u20E3'
	vowelSeparator = '\u180E'
	blackFlag      = '\U0001F3F4'
	firstTag       = '\U000E0020'
	cancelTag      = '\U000E007F'
	// virama is the canonical combining class of the signs that join consonants.
	virama = 9
)

// A Part is a rune of a text, or an emoji of several.
type Part struct {
	Text string
	// First is the first rune of Text, and Runes how many there are.
	First rune
	Runes int
	// Seen reports that the part shows something, or that what is around it needs
	// it. U+FFFD, and a byte that is not UTF-8 and decodes to it, is not seen.
	Seen bool
}

// IsSpace reports whether the part is white space of any kind, line breaks
// included.
func (p Part) IsSpace() bool {
	return p.Runes == 1 && (unicode.IsSpace(p.First) || unicode.Is(unicode.Zs, p.First))
}

// Parts returns the parts of s, in order.
func Parts(s string) iter.Seq[Part] {
	return func(yield func(Part) bool) {
		for i := 0; i < len(s); {
			r, size := utf8.DecodeRuneInString(s[i:])
			p := Part{First: r, Runes: 1}
			if n, runes := emojiSequence(s[i:]); runes > 1 {
				size, p.Runes, p.Seen = n, runes, true
			} else {
				p.Seen = IsVisible(r) || r > unicode.MaxLatin1 && isNeeded(s[:i], r, s[i+size:])
			}
			p.Text = s[i : i+size]
			if !yield(p) {
				return
			}
			i += size
		}
	}
}

// isNeeded reports whether r, which shows nothing itself, changes how the text
// around it reads: a joiner (RFC 5892, appendix A.1 and A.2) or a variation
// selector behind a letter that has variants.
func isNeeded(before string, r rune, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	switch {
	case r == nonJoiner:
		return isVirama(last) || joinedLetters(before, after)
	case r == joiner:
		return isVirama(last) || isRa(last) && isVirama(next)
	case r == vowelSeparator:
		return isMongolian(last) && isMongolian(next)
	case r >= '\u180B' && r <= '\u180F': // the separator apart, selectors
		return isMongolian(last)
	case r >= '\uFE00' && r <= '\uFE02', r >= '\U000E0100' && r <= '\U000E010F':
		// Standardized and ideographic variants, such as those of Japanese names.
		return unicode.Is(unicode.Unified_Ideograph, last)
	}
	return false
}

func isVirama(r rune) bool {
	return r > unicode.MaxLatin1 && norm.NFC.PropertiesString(string(r)).CCC() == virama
}

// isRa reports whether r is a letter that a joiner keeps whole before a virama
// (Unicode Standard, sections 12.2 and 12.8): Bengali, Assamese or Kannada ra.
func isRa(r rune) bool { return r == '\u09B0' || r == '\u09F0' || r == '\u0CB0' }

func isMongolian(r rune) bool {
	return unicode.Is(unicode.Mongolian, r) && unicode.IsLetter(r)
}

// joinedLetters reports whether the letters around a place would join there. The
// marks on them do not matter.
func joinedLetters(before, after string) bool {
	isMark := func(r rune) bool { return unicode.In(r, unicode.Mn, unicode.Me) && IsVisible(r) }
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRightFunc(before, isMark))
	next, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(after, isMark))
	return unicode.Is(joinsNext, last) && unicode.Is(joinsPrevious, next)
}

// tones tells which elements of an emoji of several can have a skin tone.
type tones int

const (
	noTone         tones = iota
	firstTone            // the first, or none
	bothTones            // the first and the last, or none
	differentTones       // the first and the last, another one each
)

type joinedSequence struct {
	elements string
	tones    tones
}

// emojiSequence returns how many bytes and runes of s, from its start, are one
// emoji of several runes that is recommended for general interchange (UTS 51,
// ED-27): as emoji-test.txt lists it, with or without presentation selectors. It
// returns zero where there is none.
func emojiSequence(s string) (size, runes int) {
	first, n := utf8.DecodeRuneInString(s)
	if first < utf8.RuneSelf {
		return keycapSequence(s, first)
	}
	if first == blackFlag {
		if size := flagOfTags(s[n:]); size > 0 {
			return n + size, utf8.RuneCountInString(s[:n+size])
		}
	}
	// The elements as joinedEmoji writes them, and the tones that they have.
	var elements, toned []rune
	at, count := 0, 0
	take := func(n int) { at, count = at+n, count+1 }
	complete := func() {
		if len(elements) == 1 || isJoined(elements, toned) {
			size, runes = at, count
		}
	}
	for len(elements) < maxElements {
		element, n := utf8.DecodeRuneInString(s[at:])
		if !unicode.Is(emoji, element) {
			break
		}
		take(n)
		elements, toned = append(elements, element), append(toned, 0)
		complete()
		after, n := utf8.DecodeRuneInString(s[at:])
		switch {
		case after == textStyle && len(elements) == 1:
			return at + n, count + 1
		case after == emojiStyle:
			take(n)
			complete()
		case isTone(after):
			take(n)
			toned[len(toned)-1] = after
			if len(elements) > 1 {
				complete()
			}
		}
		separator, n := utf8.DecodeRuneInString(s[at:])
		if separator != joiner {
			break
		}
		take(n)
	}
	return size, runes
}

func isTone(r rune) bool { return r >= '\U0001F3FB' && r <= '\U0001F3FF' }

// isJoined reports whether joiners make one emoji of elements with these tones;
// zero is none.
func isJoined(elements, toned []rune) bool {
	i, found := slices.BinarySearchFunc(joinedEmoji[:], string(elements), func(j joinedSequence, key string) int {
		return strings.Compare(j.elements, key)
	})
	if !found {
		return false
	}
	last := len(toned) - 1
	for _, tone := range toned[1:last] {
		if tone != 0 {
			return false
		}
	}
	from, to := toned[0], toned[last]
	switch joinedEmoji[i].tones {
	case firstTone:
		return to == 0
	case bothTones:
		return (from == 0) == (to == 0)
	case differentTones:
		return from != 0 && to != 0 && from != to
	}
	return from == 0 && to == 0
}

// keycapSequence is a digit, # or * in a key: 1, U+FE0F, U+20E3.
func keycapSequence(s string, first rune) (size, runes int) {
	if (first < '0' || first > '9') && first != '#' && first != '*' {
		return 0, 0
	}
	const rest = string(emojiStyle) + string(keycap)
	if !strings.HasPrefix(s[1:], rest) {
		return 0, 0
	}
	return 1 + len(rest), 3
}

// flagOfTags returns how many bytes of s are the tags of a flag, behind a black
// one.
func flagOfTags(s string) int {
	var name strings.Builder
	for i, r := range s {
		switch {
		case r == cancelTag && slices.Contains(flagTags[:], name.String()):
			return i + utf8.RuneLen(r)
		case r < firstTag || r >= cancelTag:
			return 0
		}
		name.WriteByte(byte(r - firstTag + ' '))
	}
	return 0
}
