package client

import "time"

const (
	tokensPath   = "/settings/tokens"
	opListTokens = "list tokens"
)

// Token is a personal access token as the API lists it: everything but its
// value. ID, Name and Prefix are as the API sent them. Name is what somebody
// typed, and may hold anything; clean it before showing it.
type Token struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Prefix is the public beginning of the value, "kbn_pat_" and 8 characters.
	Prefix    string    `json:"token_prefix"`
	CreatedAt time.Time `json:"created_at"`
	// LastUsedAt is nil if the token was never used, or if that is not known.
	LastUsedAt *time.Time `json:"last_used_at"`
	// UsageUnknown means that the list of the API left last_used_at out, so that the
	// token may be in use.
	UsageUnknown bool `json:"-"`
	// ExpiresAt is nil if the token never expires.
	ExpiresAt *time.Time `json:"expires_at"`
	// RevokedAt is nil unless the token was revoked.
	RevokedAt *time.Time `json:"revoked_at"`
	// ValidFrom is when the token begins to be accepted, where the API has that
	// extension; nil if at once.
	ValidFrom *time.Time `json:"valid_from,omitzero"`
	// Permissions are what the token is narrowed to, where the API has that
	// extension; nil if it may do what its user may.
	Permissions []string `json:"permissions,omitzero"`
}

// Status is what a token is good for at a given time.
type Status string

// The statuses. A revoked token is revoked whatever its dates.
const (
	StatusActive      Status = "active"
	StatusNotYetValid Status = "not_yet_valid"
	StatusExpired     Status = "expired"
	StatusRevoked     Status = "revoked"
)

// Status returns what t is good for at now. At the very moment of ExpiresAt it
// is expired, at that of ValidFrom it is active.
func (t *Token) Status(now time.Time) Status {
	switch {
	case t.RevokedAt != nil:
		return StatusRevoked
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return StatusExpired
	case t.ValidFrom != nil && now.Before(*t.ValidFrom):
		return StatusNotYetValid
	}
	return StatusActive
}

// incomplete says what t lacks of the fields that every token has.
func incomplete(t *Token) string {
	switch {
	case t.ID == "":
		return "has no id"
	case t.CreatedAt.IsZero():
		return "has no created_at"
	}
	return ""
}
