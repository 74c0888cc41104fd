package tools

import (
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// maxNameLength bounds names of tokens, in characters (code points), as the
// kenbun API documentation does.
const maxNameLength = 100

// TokenRow is a token as it is listed. Text that came from outside is cleaned.
// A time that is absent means never.
type TokenRow struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Prefix     string   `json:"prefix"`
	Status     string   `json:"status"`
	CreatedAt  string   `json:"created_at"`
	LastUsedAt string   `json:"last_used_at,omitempty"`
	ExpiresAt  string   `json:"expires_at,omitempty"`
	RevokedAt  string   `json:"revoked_at,omitempty"`
	InUse      bool     `json:"in_use,omitempty"`
	Allowed    []string `json:"permissions,omitempty"`
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
	for _, permission := range token.Permissions {
		row.Allowed = append(row.Allowed, shown(permission, 64))
	}
	return row
}

func timestamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
