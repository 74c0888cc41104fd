package tools

import (
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// The form of a token (kenbun API documentation, Personal Access Tokens): a
// literal and eight characters are public and name the token in lists; what
// follows is the secret.
const (
	valueLiteral      = "kbn_pat_"
	publicPrefixRunes = len(valueLiteral) + 8
)

// shown makes text that came from outside fit to be shown: cleaned, cut to
// limit runes, and without what looks like the value of a token, which people
// and models put into the wrong place.
func shown(s string, limit int) string {
	return withoutValues(plaintext.Clean(s, limit))
}

// withoutValues replaces what follows the public prefix of a token in s.
func withoutValues(s string) string {
	if !holdsValue(s) {
		return s
	}
	var b strings.Builder
	for {
		start, end := findValue(s)
		if start < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:start+publicPrefixRunes])
		b.WriteString("[redacted]")
		s = s[end:]
	}
}

func holdsValue(s string) bool {
	start, _ := findValue(s)
	return start >= 0
}

// findValue returns where in s the first token stands that is more than its
// public prefix; start is negative if there is none.
func findValue(s string) (start, end int) {
	for from := 0; ; {
		at := strings.Index(s[from:], valueLiteral)
		if at < 0 {
			return -1, -1
		}
		start = from + at
		end = start + len(valueLiteral)
		for end < len(s) && isValueByte(s[end]) {
			end++
		}
		if end-start > publicPrefixRunes {
			return start, end
		}
		from = end
	}
}

func isValueByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
}

// publicPrefix is the part of token that may be shown: an API that tells more
// of it must not make us show a secret.
func publicPrefix(token *client.Token) string {
	prefix := []rune(plaintext.Clean(token.Prefix, 4*publicPrefixRunes))
	return string(prefix[:min(len(prefix), publicPrefixRunes)])
}

// isNamedBy reports whether prefix, the public part of a value, is that of
// token. No prefix names no token.
func isNamedBy(token *client.Token, prefix string) bool {
	return prefix != "" && strings.HasPrefix(token.Prefix, prefix)
}
