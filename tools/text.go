package tools

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// Shown makes text from outside fit to be shown: cleaned, cut to limit characters, and
// without anything that looks like a kenbun secret, which users and models sometimes
// put into the wrong field.
func Shown(s string, limit int) string { return redact.Secrets(plaintext.Clean(s, limit)) }

// Cell escapes text so that it stays in its column of a table.
func Cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "|", `\|`)
}

// Timestamp formats t for answers, "" for none.
func Timestamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// ShortTime formats a [Timestamp] for tables, "never" for none.
func ShortTime(stamp string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return "never"
	}
	return humantime.Short(t, now)
}

// Digest returns a SHA-256 of data in base64url.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// MustMarshal encodes a value whose encoding cannot fail.
func MustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// MaxPermissions is more permissions than any API has.
const MaxPermissions = 100

// MaxPermissionLength bounds the name of a permission, in characters.
const MaxPermissionLength = 64

// ShownPermissions cleans names. Nil, which means no narrowing, stays nil. Beyond limit
// names it only says how many are left out.
func ShownPermissions(names []string, limit int) []string {
	if names == nil {
		return nil
	}
	kept := names[:min(len(names), limit)]
	cleaned := make([]string, len(kept), len(kept)+1)
	for i, name := range kept {
		cleaned[i] = Shown(name, MaxPermissionLength)
	}
	if left := len(names) - len(kept); left > 0 {
		cleaned = append(cleaned, fmt.Sprintf("… and %d more", left))
	}
	return cleaned
}

// PermissionWords describes permissions in a line. Nil is all of the role's.
func PermissionWords(names []string) string {
	switch {
	case names == nil:
		return "all that the role holds"
	case len(names) == 0:
		return "none"
	}
	return strings.Join(names, " ")
}
