package tools

import (
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// The form of a token (kenbun API documentation, Personal Access Tokens): a
// literal and eight characters are public and name the token in lists; what
// follows is the secret.
const (
	valueLiteral       = redact.PAT
	publicPrefixLength = len(valueLiteral) + redact.PublicLen
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
	for at := range len(token.Prefix) {
		if at == publicPrefixLength || !isValueByte(token.Prefix[at]) {
			return token.Prefix[:at]
		}
	}
	return token.Prefix
}

// isNamedBy reports whether prefix, the public part of a value, is that of
// token. No prefix names no token.
func isNamedBy(token *client.Token, prefix string) bool {
	return prefix != "" && strings.HasPrefix(token.Prefix, prefix)
}

// mayBeNamedBy reports whether prefix may be the public part of token: it is
// active, the API shows less of it than names one token, and that part fits.
func mayBeNamedBy(token *client.Token, prefix string, now time.Time) bool {
	return token.Status(now) == client.StatusActive && len(token.Prefix) < len(prefix) && strings.HasPrefix(prefix, token.Prefix)
}

func isValueByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
}
