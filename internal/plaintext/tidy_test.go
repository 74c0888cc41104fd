package plaintext

import "testing"

// A text that is returned without a look at its parts is one that stays as it is.
func FuzzTidyTextStaysAsItIs(f *testing.F) {
	for _, text := range []string{"", " ", "a", "a b", "a  b", " a", "a ", "a\tb", "a\nb", "\x7f", "a\u00a0b", "\u202e", "#\ufe0f\u20e3", "1\u200d2"} {
		f.Add(text, 10)
		f.Add(text, 1)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 1 {
			return
		}
		if got, want := Clean(text, limit), clean(text, limit); got != want {
			t.Errorf("Clean(%q, %d) returns %q and not %q", text, limit, got, want)
		}
	})
}
