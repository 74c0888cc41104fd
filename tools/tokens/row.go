package tokens

import (
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/redact"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxNameLength bounds names of tokens, in characters (code points), as the
// kenbun API documentation does.
const maxNameLength = 100

// maxListedPermissions is how many names of permissions a row of the list has.
const maxListedPermissions = 20

// Row is a token as it is listed. Text that came from outside is cleaned.
// A time that is absent means never.
type Row struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Prefix     string `json:"prefix"`
	Status     string `json:"status"`
	CreatedAt  string `json:"created_at"`
	LastUsedAt string `json:"last_used_at,omitempty"`
	ExpiresAt  string `json:"expires_at,omitempty"`
	RevokedAt  string `json:"revoked_at,omitempty"`
	InUse      bool   `json:"in_use,omitempty"`
	// MayBeInUse tells that the API shows too little of the token's beginning to
	// tell. It counts as in use.
	MayBeInUse bool `json:"may_be_in_use,omitempty"`
	// ValidFrom is empty for a token that is valid at once.
	ValidFrom string `json:"valid_from,omitempty"`
	// Permissions are what it is narrowed to, nil if to nothing. Where they are more
	// than 100, the last entry tells how many are left out.
	Permissions []string `json:"permissions,omitzero"`
}

// NewRow describes token as of now. prefixInUse is the public part of the
// token that the caller itself runs on.
func NewRow(token *client.Token, now time.Time, prefixInUse string) Row {
	row := Row{
		ID:         tools.Shown(token.ID, 64),
		Name:       tools.Shown(token.Name, maxNameLength),
		Prefix:     publicPrefix(token),
		Status:     string(token.Status(now)),
		CreatedAt:  tools.Timestamp(&token.CreatedAt),
		LastUsedAt: tools.Timestamp(token.LastUsedAt),
		ExpiresAt:  tools.Timestamp(token.ExpiresAt),
		RevokedAt:  tools.Timestamp(token.RevokedAt),
		InUse:      isNamedBy(token, prefixInUse),
		MayBeInUse: mayBeNamedBy(token, prefixInUse, now),
	}
	row.ValidFrom, row.Permissions = tools.Timestamp(token.ValidFrom), tools.ShownPermissions(token.Permissions, tools.MaxPermissions)
	return row
}

// PermissionWords says in a line what the token is narrowed to, such as
// "read:leads read:tokens", "none", or "all that the role holds".
func (r *Row) PermissionWords() string { return tools.PermissionWords(r.Permissions) }

// The form of a token (kenbun API documentation, Personal Access Tokens): a
// literal and eight characters are public and name the token in lists; what
// follows is the secret.
const (
	valueLiteral       = redact.PAT
	publicPrefixLength = len(valueLiteral) + redact.PublicLen
)

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
