package ascii_test

import (
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

func TestR28_OnlyASCIILettersHaveACase(t *testing.T) {
	for _, c := range []struct {
		s, lower string
	}{
		{"", ""},
		{"abc-1.é", "abc-1.é"},
		{"LocalHost:80", "localhost:80"},
		{"\u212Aenbun", "\u212Aenbun"},       // strings.ToLower makes a k of it
		{"localho\u017Ft", "localho\u017Ft"}, // strings.EqualFold takes it for an s
		{"É", "É"},
		{"\xff\xfeA", "\xff\xfea"},
	} {
		if got := ascii.Lower(c.s); got != c.lower {
			t.Errorf("Lower(%q) = %q, want %q", c.s, got, c.lower)
		}
	}
	for _, c := range []struct {
		s, t string
		want bool
	}{
		{"Bearer", "bEARER", true},
		{"localhost", "LOCALHOST", true},
		{"localhost", "localho\u017Ft", false},
		{"kenbun", "\u212Aenbun", false},
		{"a", "ab", false},
		{"[", "{", false},
	} {
		if got := ascii.EqualFold(c.s, c.t); got != c.want {
			t.Errorf("EqualFold(%q, %q) = %t", c.s, c.t, got)
		}
	}
}
