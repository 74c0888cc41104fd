package tools

import (
	"fmt"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// maxNameLength bounds names of tokens, in characters (code points), as the
// kenbun API documentation does.
const maxNameLength = 100

// maxPermissionLength bounds the name of a permission, in characters.
const maxPermissionLength = 64

// How many names of permissions are shown of what an API sends: in a row of the
// list that a model reads, and everywhere else.
const (
	maxListedPermissions = 20
	maxShownPermissions  = maxPermissions
)

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
	// MayBeInUse tells that the API shows too little of the token's beginning to
	// tell. It counts as in use.
	MayBeInUse bool `json:"may_be_in_use,omitempty"`
	// ValidFrom is empty for a token that is valid at once.
	ValidFrom string `json:"valid_from,omitempty"`
	// Permissions are what it is narrowed to, nil if to nothing. Where they are more
	// than 100, the last entry tells how many are left out.
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
		MayBeInUse: mayBeNamedBy(token, prefixInUse, now),
	}
	row.ValidFrom, row.Permissions = timestamp(token.ValidFrom), shownPermissions(token.Permissions, maxShownPermissions)
	return row
}

// PermissionWords says in a line what the token is narrowed to, such as
// "read:leads read:tokens", "none", or "all that the role holds".
func (r *TokenRow) PermissionWords() string { return permissionWords(r.Permissions) }

// shownPermissions cleans names, and tells none of them from no narrowing. Of
// more than limit names, it keeps as many and adds how many are left out.
func shownPermissions(names []string, limit int) []string {
	if names == nil {
		return nil
	}
	kept := names[:min(len(names), limit)]
	cleaned := make([]string, len(kept), len(kept)+1)
	for i, name := range kept {
		cleaned[i] = shown(name, maxPermissionLength)
	}
	if left := len(names) - len(kept); left > 0 {
		cleaned = append(cleaned, fmt.Sprintf("… and %d more", left))
	}
	return cleaned
}

func timestamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
