// Package names holds names that every entrance has to take, or to refuse, alike.
package names

import (
	_ "embed"
	"strings"
	"unicode/utf8"
)

//go:embed emoji.txt
var emoji string

// Emoji returns every sequence that emoji-test.txt of Unicode 17.0 lists, those
// without presentation selectors included.
func Emoji() []string { return strings.Fields(emoji) }

// Packed returns names of at most 100 characters that hold all of Emoji.
func Packed() []string {
	var packed []string
	name, runes := "", 0
	for _, one := range Emoji() {
		n := utf8.RuneCountInString(one)
		if runes+n > 100 {
			packed = append(packed, name)
			name, runes = "", 0
		}
		name += one
		runes += n
	}
	return append(packed, name)
}

// Living are names that people give things in their own scripts.
var Living = map[string]string{
	"Persian, a joiner apart":    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
	"Persian, a plural":          "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627\u06cc \u0645\u0646",
	"Persian, with vowels":       "\u0628\u0650\u200c\u0647\u064e\u0645",
	"Sinhala":                    "\u0DC1\u0DCA\u200d\u0DBB\u0DD3 \u0DBD\u0D82\u0D9A\u0DCF",
	"Malayalam":                  "\u0D05\u0D35\u0D28\u0D4D\u200d",
	"Bengali, ya behind ra":      "\u09B0\u200d\u09CD\u09AF\u09BE\u09AE",
	"Bengali, khanda ta":         "\u0989\u09A4\u09CD\u200d\u09B8\u09AC",
	"Assamese":                   "\u09F0\u200d\u09CD\u09AF\u09BE\u09AE",
	"Kannada":                    "\u0CB0\u200d\u0CCD\u0CAF\u0CBE\u0C82\u0C95\u0CCD",
	"Kannada, apart":             "\u0C95\u0CCD\u200c\u0CB7",
	"Hindi, half a letter":       "\u0915\u094D\u200d\u0937",
	"Hindi, apart":               "\u0930\u093E\u091C\u094D\u200c\u092F",
	"Marathi, eyelash ra":        "\u0926\u0930\u094D\u200d\u092F\u093E",
	"Tamil":                      "\u0BB8\u0BCD\u0BB0\u0BC0",
	"Nepali":                     "\u0917\u0930\u094D\u200d\u092F\u094B",
	"Hebrew with points":         "\u05E9\u05B8\u05C1\u05DC\u05D5\u05B9\u05DD",
	"Arabic":                     "\u0645\u0641\u062A\u0627\u062D \u0627\u0644\u062E\u0627\u062F\u0645",
	"Arabic with vowels":         "\u0645\u064F\u062D\u064E\u0645\u0651\u064E\u062F",
	"Arabic, a number sign":      "\u0600\u0661\u0662",
	"Urdu":                       "\u0645\u06CC\u0631\u0627 \u0679\u0648\u06A9\u0646",
	"Mongolian":                  "\u182E\u1823\u1829\u182D\u1823\u182F \u182A\u1822\u1834\u1822\u182D\u180C",
	"Mongolian, a vowel apart":   "\u182A\u1820\u1822\u1828\u180E\u1820",
	"Japanese, an old form":      "\u845B\U000E0100\u57CE",
	"Japanese, its own space":    "\u958B\u767A\u3000\u7528",
	"Chinese":                    "\u670D\u52A1\u5668",
	"Korean":                     "\uC11C\uBC84 \uD1A0\uD070",
	"Vietnamese, composed":       "Ti\u1EBFng Vi\u1EC7t",
	"Vietnamese, decomposed":     "Tie\u0302\u0301ng Vie\u0323\u0302t",
	"Turkish":                    "\u0130stanbul \u0131\u015F\u0131k",
	"Greek":                      "\u039F\u03B4\u03C5\u03C3\u03C3\u03B5\u03CD\u03C2",
	"Thai":                       "\u0E40\u0E0B\u0E34\u0E23\u0E4C\u0E1F\u0E40\u0E27\u0E2D\u0E23\u0E4C",
	"Khmer":                      "\u1780\u17D2\u1798\u17C2\u179A",
	"Emoji and words":            "\u2699\uFE0F deploy \U0001F469\u200D\U0001F4BB laptop",
	"Emoji one after another":    "\U0001F469\u200D\U0001F4BB\U0001F469\U0001F3FD\u200D\U0001F4BB\u2764\uFE0F\u200D\U0001F525",
	"Emoji in the style of text": "\u2714\uFE0E done",
	"A family":                   "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466",
	"A flag of tags":             "\U0001F3F4\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F office",
	"A keycap":                   "step 1\uFE0F\u20E3",
}

// A Refused name holds a character that nobody sees.
type Refused struct {
	Name string
	// Rune is that character, and Position its place, counted from 1.
	Rune     rune
	Position int
}

// RefusedNames are names that no entrance takes.
var RefusedNames = map[string]Refused{
	"override to the left":           {"abc\u202Efdp.exe", 0x202E, 4},
	"isolate":                        {"\u2066a\u2069", 0x2066, 1},
	"mark to the right":              {"\u05E9\u200F1", 0x200F, 2},
	"Arabic letter mark":             {"\u0645\u061C", 0x061C, 2},
	"tags":                           {"hi\U000E0041\U000E0042", 0xE0041, 3},
	"tags behind another emoji":      {"\U0001F600\U000E0067\U000E0062\U000E007F", 0xE0067, 2},
	"tags of a flag that is none":    {"\U0001F3F4\U000E0075\U000E0073\U000E0074\U000E0078\U000E007F", 0xE0075, 2},
	"tags without an end":            {"\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067 x", 0xE0067, 2},
	"joiner between Latin letters":   {"a\u200Db", 0x200D, 2},
	"joiner at the start":            {"\u200Da", 0x200D, 1},
	"joiner at the end of an emoji":  {"\U0001F469\u200D", 0x200D, 2},
	"two joiners":                    {"\U0001F469\u200D\u200D\U0001F4BB", 0x200D, 2},
	"joined emoji that are none":     {"\U0001F469\u200D\U0001F437", 0x200D, 2},
	"an emoji too many":              {"\U0001F469\u200D\U0001F4BB\u200D\U0001F525", 0x200D, 4},
	"skin tones of a family":         {"\U0001F468\U0001F3FB\u200D\U0001F469\U0001F3FB\u200D\U0001F467", 0x200D, 3},
	"joiner alone":                   {"x \u200D y", 0x200D, 3},
	"joiner between Arabic letters":  {"\u0645\u200D\u0645", 0x200D, 2},
	"no joiner between words":        {"a\u200Cb", 0x200C, 2},
	"no joiner behind one that ends": {"\u062F\u200C\u0647", 0x200C, 2},
	"two of them":                    {"\u0645\u200C\u200C\u0645", 0x200C, 2},
	"two behind a virama":            {"\u0915\u094D\u200D\u200D\u0937", 0x200D, 4},
	"selector behind a letter":       {"a\uFE0F", 0xFE0F, 2},
	"selector behind a digit":        {"1\uFE0F", 0xFE0F, 2},
	"selector at the start":          {"\uFE0Fa", 0xFE0F, 1},
	"two selectors":                  {"\u2699\uFE0F\uFE0F", 0xFE0F, 3},
	"a hidden byte":                  {"\U0001F600\U000E0155", 0xE0155, 2},
	"two variants of an ideograph":   {"\u845B\U000E0100\U000E0101", 0xE0101, 3},
	"Mongolian selector elsewhere":   {"a\u180Bb", 0x180B, 2},
	"Mongolian separator elsewhere":  {"a\u180Eb", 0x180E, 2},
	"zero width space":               {"a\u200Bb", 0x200B, 2},
	"word joiner":                    {"a\u2060b", 0x2060, 2},
	"byte order mark":                {"\uFEFFa", 0xFEFF, 1},
	"soft hyphen":                    {"a\u00ADb", 0x00AD, 2},
	"grapheme joiner":                {"a\u034Fb", 0x034F, 2},
	"Hangul filler":                  {"a\u3164b", 0x3164, 2},
	"half as wide":                   {"a\uFFA0b", 0xFFA0, 2},
	"Hangul choseong filler":         {"\u115F", 0x115F, 1},
	"Khmer vowel that shows nothing": {"\u1780\u17B4", 0x17B4, 2},
	"empty Braille":                  {"a\u2800b", 0x2800, 2},
	"no note head":                   {"a\U0001D159b", 0x1D159, 2},
	"object replacement":             {"a\uFFFCb", 0xFFFC, 2},
	"private use":                    {"a\uE000b", 0xE000, 2},
	"unassigned":                     {"a\U0003FFFDb", 0x3FFFD, 2},
	"escape":                         {"a\x1b[31m", 0x1B, 2},
	"line break":                     {"a\nb", 0x0A, 2},
	"tab":                            {"a\tb", 0x09, 2},
	"delete":                         {"a\x7f", 0x7F, 2},
	"line separator":                 {"a\u2028b", 0x2028, 2},
	"no-break space":                 {"a\u00A0b", 0x00A0, 2},
	"thin space":                     {"a\u2009b", 0x2009, 2},
	"damaged text":                   {"a\uFFFDb", 0xFFFD, 2},
}
