package client

import (
	"strings"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

const maxMessageRunes = 300

// cleanMessage makes text from the API fit for one line of an error: no
// control, bidirectional or invisible characters, white space folded, no token,
// at most 300 characters.
func cleanMessage(text string, secret Secret) string {
	// Enough to fill a message even if most of it goes; the rest need not be read.
	const worthReading = 16 << 10
	if len(text) > worthReading {
		end := worthReading
		for end > worthReading-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	var b strings.Builder
	space := false
	for part := range plaintext.Parts(text) {
		switch {
		case part.IsSpace():
			space = b.Len() > 0
		case part.Seen, part.First == utf8.RuneError:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteString(strings.ToValidUTF8(part.Text, string(utf8.RuneError)))
		}
	}
	// Only now, when nothing can hide in the middle of a token any more.
	return plaintext.Cut(redactTokens(b.String(), secret), maxMessageRunes)
}

// redactTokens takes out secret itself and whatever looks like a kenbun token, a
// bearer credential or a signed session. The public prefix of a token may stay.
func redactTokens(text string, secret Secret) string {
	if value := secret.Reveal(); len(value) >= patPublicLen {
		text = strings.ReplaceAll(text, value, redacted)
	}
	text = redact.Whole(text)
	text = redactAfter(text, "bearer ", 15, ".+/=~")
	return redactAfter(text, "eyj", 16, ".+/=~") // a JWT begins with {" in base64
}

// redactAfter takes out each marker, in any case, with the characters after it
// that tokens are made of (and those in more), if they are more than allowed.
func redactAfter(text, marker string, allowed int, more string) string {
	lower := asciiLower(text)
	if !strings.Contains(lower, marker) {
		return text
	}
	var b strings.Builder
	for {
		start := strings.Index(lower, marker)
		if start < 0 {
			b.WriteString(text)
			return b.String()
		}
		opaque := start + len(marker)
		end := opaque
		for end < len(text) && (isTokenByte(text[end]) || strings.IndexByte(more, text[end]) >= 0) {
			end++
		}
		if end-opaque > allowed {
			b.WriteString(text[:start])
			b.WriteString(redacted)
		} else {
			b.WriteString(text[:end])
		}
		text, lower = text[end:], lower[end:]
	}
}

// asciiLower keeps all positions, unlike strings.ToLower.
func asciiLower(text string) string {
	lower := []byte(text)
	for i, b := range lower {
		if b >= 'A' && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return string(lower)
}
