package plaintext

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestR31_CleanTakesOutWhatIsNotSeen(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"plain":               {"MCP Server - Laptop", "MCP Server - Laptop"},
		"escape sequence":     {"\x1b]52;c;aGk=\x07x", "]52;c;aGk=x"},
		"line breaks":         {"a\r\nb\u2028c\u0085d", "a b c d"},
		"right to left":       {"abc\u202efdp.exe", "abcfdp.exe"},
		"isolates":            {"\u2066a\u2069", "a"},
		"zero width":          {"a\u200bb\u200dc\ufeff", "abc"},
		"tags":                {"hi\U000E0041\U000E0042", "hi"},
		"variation selectors": {"x\ufe0f\U000E0100", "x"},
		"hangul filler":       {"a\u3164b", "ab"},
		"empty Braille":       {"a\u2800b", "ab"},
		"no note head":        {"a\U0001D159b", "ab"},
		"object replacement":  {"a\ufffcb", "ab"},
		"private use":         {"a\ue000b", "ab"},
		"invalid UTF-8":       {"a\xff\xfeb", "ab"},
		"NUL":                 {"a\x00b", "ab"},
		"spaces fold":         {"  a \u00a0\u3000 b  ", "a b"},
		"emoji stay":          {"🚀 launch", "🚀 launch"},
		"accents stay":        {"Zoë Ünïcode 日本", "Zoë Ünïcode 日本"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Clean(tc.in, 100); got != tc.want {
				t.Errorf("Clean(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestCleanCutsToTheLimit(t *testing.T) {
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abcde…"},
		{"ab cdefg", 4, "ab…"},
		{"abc defg", 4, "abc…"},
		{"anything", 1, "…"},
		{"anything", 0, ""},
		{"日本語テキスト", 4, "日本語…"},
	} {
		if got := Clean(tc.in, tc.limit); got != tc.want {
			t.Errorf("Clean(%q, %d) = %q, want %q", tc.in, tc.limit, got, tc.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mb\u202e", 10)
	f.Add("\U000E0041 \u3164", 1)
	f.Add("\U0001F469\u200D\U0001F4BB\u200B\U0001F3FD\u200D\ufe0f", 4)
	f.Add("\u0645\u064e\u200c\u064e\u0645\u0915\u094d\u200d\u200d1\ufe0f\u20e3", 6)
	f.Add("\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F\u3000\u845B\U000E0100", 9)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit %= 1000
		got := Clean(s, limit)
		if n := utf8.RuneCountInString(got); n > max(limit, 0) {
			t.Fatalf("Clean(%q, %d) has %d runes", s, limit, n)
		}
		for _, r := range got {
			if unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) {
				t.Fatalf("Clean(%q, %d) kept %U", s, limit, r)
			}
		}
		if again := Clean(got, limit); again != got {
			t.Fatalf("Clean is not stable: %q, then %q", got, again)
		}
		if strings.TrimSpace(got) != got {
			t.Fatalf("Clean(%q, %d) = %q has outer space", s, limit, got)
		}
		if !Visible(got) {
			t.Fatalf("Clean(%q, %d) = %q is not Visible", s, limit, got)
		}
	})
}
