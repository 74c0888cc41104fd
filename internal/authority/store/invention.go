package store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// seedPast is how far back invented tokens go.
const seedPast = 2 * 365 * 24 * time.Hour

// invention draws realistic users and tokens. Nobody has the values of the digests.
type invention struct{ source *mathrand.ChaCha8 }

func newInvention() *invention {
	var seed [32]byte
	_, _ = rand.Read(seed[:])                    // ends the program rather than return an error
	return &invention{mathrand.NewChaCha8(seed)} //nolint:forbidigo // no secret and no id is drawn from it
}

// share returns a number in [0, 1).
func (i *invention) share() float64 { return float64(i.source.Uint64()>>11) / (1 << 53) }

func (i *invention) below(n int) int { return int(i.share() * float64(n)) }

// between returns a time between two, with a lateness above 1 rather a late one.
func (i *invention) between(from, to time.Time, lateness float64) time.Time {
	return from.Add(time.Duration(float64(to.Sub(from)) * math.Pow(i.share(), 1/lateness))).Truncate(time.Microsecond)
}

func choice[T any](i *invention, from []T) T { return from[i.below(len(from))] }

var (
	inventedFirstNames = []string{"Ada", "Alan", "Barbara", "Dennis", "Donald", "Edsger", "Evelyn", "Frances", "Grace", "Hedy", "Ivan", "Jean", "Joan", "John", "Katherine", "Ken", "Leslie", "Margaret", "Niklaus", "Radia", "Rózsa", "Shafi", "Tony", "Yukihiro"}
	inventedLastNames  = []string{"Allen", "Bartik", "Boyd", "Clarke", "Dijkstra", "Goldwasser", "Hamilton", "Hoare", "Hopper", "Johnson", "Kernighan", "Knuth", "Lamarr", "Lamport", "Liskov", "Lovelace", "McCarthy", "Perlman", "Péter", "Ritchie", "Sutherland", "Thompson", "Turing", "Wirth"}
	inventedNames      = []string{"MCP Server - Work Laptop", "MCP Server - Home", "Nightly import", "CI pipeline", "Score export", "Salesforce sync", "HubSpot sync", "Webhook relay", "Dashboard", "Grafana", "Data warehouse", "Slack bot", "Lead enrichment", "Backfill March", "Terraform", "Zapier", "Load test", "Quarterly report", "クローラー", "Übernahme Altdaten"}
	inventedDays       = []int{7, 30, 30, 30, 60, 90, 90, 365, 0, 0, 0} // 0: never expires
	inventedNarrowing  = []domain.PermissionSet{
		domain.NewPermissionSet(domain.ReadLeads), domain.NewPermissionSet(domain.ReadLeads, domain.ReadEvents), domain.NewPermissionSet(domain.WriteEvents),
		domain.NewPermissionSet(domain.ReadTokens), domain.NewPermissionSet(domain.ReadAccounts, domain.ReadLeads, domain.ReadScoring),
	}
)

type inventedPerson struct {
	firstName, lastName, email string
	role                       domain.Role
	status                     domain.UserStatus
}

// person draws the nth user, whose address leads nowhere (RFC 2606, section 3).
func (i *invention) person(n int) inventedPerson {
	p := inventedPerson{firstName: choice(i, inventedFirstNames), lastName: choice(i, inventedLastNames), role: domain.RoleMember, status: domain.StatusActive}
	p.email = fmt.Sprintf("%s.%d@example.com", asciiLower(p.lastName), n)
	switch x := i.share(); {
	case n%seedOrganization == 1:
		p.role = domain.RoleOwner
	case x < 0.05:
		p.role = domain.RoleAdmin
	case x < 0.25:
		p.role = domain.RoleViewer
	}
	if p.role != domain.RoleOwner && i.share() < 0.02 {
		p.status = domain.StatusSuspended
	}
	return p
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// token draws a token of the last two years: most of them younger than a year, three in
// ten without an expiry, some revoked, some never used.
func (i *invention) token(now time.Time) domain.Token {
	t := domain.Token{Name: choice(i, inventedNames), Prefix: i.prefix(), CreatedAt: i.between(now.Add(-seedPast), now, 1.5)}
	end := now
	if days := choice(i, inventedDays); days > 0 {
		expires := t.CreatedAt.Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
		t.ExpiresAt = &expires
		if expires.Before(end) {
			end = expires
		}
	}
	if i.share() < 0.15 {
		revoked := i.between(t.CreatedAt, end, 1)
		t.RevokedAt, end = &revoked, revoked
	}
	begin := t.CreatedAt
	if t.ExpiresAt == nil && i.share() < 0.03 {
		from := t.CreatedAt.Add(time.Duration(i.below(7*24)) * time.Hour).Truncate(time.Second)
		t.ValidFrom, begin = &from, from
	}
	if i.share() < 0.80 && begin.Before(end) {
		used := i.between(begin, end, 3)
		t.LastUsedAt = &used
	}
	if i.share() < 0.10 {
		t.Permissions = choice(i, inventedNarrowing)
	}
	return t
}

func (i *invention) prefix() string {
	return string(domain.PersonalAccessToken) + i.hex(domain.PublicDigits/2)
}

func (i *invention) digest() string { return i.hex(32) }

func (i *invention) hex(bytes int) string {
	var buffer [32]byte
	_, _ = i.source.Read(buffer[:bytes]) // never returns an error
	return hex.EncodeToString(buffer[:bytes])
}
