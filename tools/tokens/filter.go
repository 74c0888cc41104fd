package tokens

import (
	"cmp"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
)

// StatusAll is the Filter status that lets every token through.
const StatusAll = "all"

// Statuses are the values of a Filter's status.
var Statuses = []string{
	string(client.StatusActive),
	string(client.StatusExpired),
	string(client.StatusRevoked),
	string(client.StatusNotYetValid),
	StatusAll,
}

// Filter picks tokens from a list.
type Filter struct {
	// Status is one of Statuses.
	Status string
	// UnusedDays keeps tokens that were not used within as many days; one that
	// was never used counts from when it was made. Zero: no matter.
	UnusedDays int
	// ExpiresWithinDays keeps tokens that have not ended and will within as many
	// days. Zero: no matter.
	ExpiresWithinDays int
	// Name keeps tokens whose name, as lists show it, contains this text, as
	// [plaintext.Fold] compares. Empty: any.
	Name string
}

func compareTokens(a, b *client.Token) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func (f Filter) matches(token *client.Token, now time.Time) bool {
	if f.Status != StatusAll && f.Status != string(token.Status(now)) {
		return false
	}
	if f.UnusedDays > 0 {
		if now.Sub(lastSign(token)) < time.Duration(f.UnusedDays)*day {
			return false
		}
	}
	if f.ExpiresWithinDays > 0 {
		if token.ExpiresAt == nil || !token.ExpiresAt.After(now) || token.ExpiresAt.Sub(now) > time.Duration(f.ExpiresWithinDays)*day {
			return false
		}
	}
	return f.Name == "" || strings.Contains(plaintext.Fold(tools.Shown(token.Name, maxNameLength)), plaintext.Fold(f.Name))
}
