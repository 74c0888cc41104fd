package tools

import (
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// maxNameLength bounds names of tokens, in characters (code points), as the
// kenbun API documentation does.
const maxNameLength = 100

// maxPermissionLength bounds the name of a permission, in characters.
const maxPermissionLength = 64

// TokenRow is a token as it is listed. Text that came from outside is cleaned.
// A time that is absent means never.
type TokenRow struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Prefix     string `json:"prefix"`
	Status     string `json:"status"`
	CreatedAt  string `json:"created_at"`
	LastUsedAt string `json:"last_used_at,omitempty"`
	ExpiresAt  string `json:"expires_at,omitempty"`
	RevokedAt  string `json:"revoked_at,omitempty"`
	InUse      bool   `json:"in_use,omitempty"`
	// ValidFrom is empty for a token that is valid at once.
	ValidFrom string `json:"valid_from,omitempty"`
	// Permissions are what it is narrowed to, nil if to nothing.
	Permissions []string `json:"permissions,omitzero"`
}

// NewTokenRow describes token as of now. prefixInUse is the public part of the
// token that the caller itself runs on.
func NewTokenRow(token *client.Token, now time.Time, prefixInUse string) TokenRow {
	row := TokenRow{
		ID:         shown(token.ID, 64),
		Name:       shown(token.Name, maxNameLength),
		Prefix:     publicPrefix(token),
		Status:     string(token.Status(now)),
		CreatedAt:  timestamp(&token.CreatedAt),
		LastUsedAt: timestamp(token.LastUsedAt),
		ExpiresAt:  timestamp(token.ExpiresAt),
		RevokedAt:  timestamp(token.RevokedAt),
		InUse:      isNamedBy(token, prefixInUse),
	}
	row.ValidFrom, row.Permissions = timestamp(token.ValidFrom), shownPermissions(token.Permissions)
	return row
}

// PermissionWords says in a line what the token is narrowed to, such as
// "read:leads read:tokens", "none", or "all that the role holds".
func (r *TokenRow) PermissionWords() string { return permissionWords(r.Permissions) }

// shownPermissions cleans names, and tells none of them from no narrowing.
func shownPermissions(names []string) []string {
	if names == nil {
		return nil
	}
	cleaned := make([]string, len(names))
	for i, name := range names {
		cleaned[i] = shown(name, maxPermissionLength)
	}
	return cleaned
}

func timestamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
