package tools

import (
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// The form of a token (kenbun API documentation, Personal Access Tokens): a
// literal and eight characters are public and name the token in lists; what
// follows is the secret.
const (
	valueLiteral      = redact.PAT
	publicPrefixRunes = len(valueLiteral) + redact.PublicLen
)

// shown makes text that came from outside fit to be shown: cleaned, cut to
// limit runes, and without what looks like a secret of kenbun, which people and
// models put into the wrong place.
func shown(s string, limit int) string {
	return redact.Secrets(plaintext.Clean(s, limit))
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
