package authority

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"time"
)

// seedPast is how far back invented tokens go.
const seedPast = 2 * 365 * 24 * time.Hour

// invention draws users and tokens such as there could be. What it draws is no
// secret: digests are of no value that anybody has.
type invention struct{ source *mathrand.ChaCha8 }

func newInvention() *invention {
	var seed [32]byte
	_, _ = rand.Read(seed[:])                    // ends the program rather than return an error
	return &invention{mathrand.NewChaCha8(seed)} //nolint:forbidigo // no secret and no id is drawn from it
}

// share is a number from 0 up to 1.
func (i *invention) share() float64 { return float64(i.source.Uint64()>>11) / (1 << 53) }

func (i *invention) below(n int) int { return int(i.share() * float64(n)) }

// between is a time from one to another, the later the likelier where lateness
// is above 1.
func (i *invention) between(from, to time.Time, lateness float64) time.Time {
	return from.Add(time.Duration(float64(to.Sub(from)) * math.Pow(i.share(), 1/lateness))).Truncate(time.Microsecond)
}

func choice[T any](i *invention, from []T) T { return from[i.below(len(from))] }

var (
	inventedFirstNames = []string{"Ada", "Alan", "Barbara", "Dennis", "Donald", "Edsger", "Evelyn", "Frances", "Grace", "Hedy", "Ivan", "Jean", "Joan", "John", "Katherine", "Ken", "Leslie", "Margaret", "Niklaus", "Radia", "Rózsa", "Shafi", "Tony", "Yukihiro"}
	inventedLastNames  = []string{"Allen", "Bartik", "Boyd", "Clarke", "Dijkstra", "Goldwasser", "Hamilton", "Hoare", "Hopper", "Johnson", "Kernighan", "Knuth", "Lamarr", "Lamport", "Liskov", "Lovelace", "McCarthy", "Perlman", "Péter", "Ritchie", "Sutherland", "Thompson", "Turing", "Wirth"}
	inventedNames      = []string{"MCP Server - Work Laptop", "MCP Server - Home", "Nightly import", "CI pipeline", "Score export", "Salesforce sync", "HubSpot sync", "Webhook relay", "Dashboard", "Grafana", "Data warehouse", "Slack bot", "Lead enrichment", "Backfill March", "Terraform", "Zapier", "Load test", "Quarterly report", "クローラー", "Übernahme Altdaten"}
	inventedDays       = []int{7, 30, 30, 30, 60, 90, 90, 365, 0, 0, 0} // 0: never expires
	inventedNarrowing  = []permissionSet{
		newPermissionSet(readLeads), newPermissionSet(readLeads, readEvents), newPermissionSet(writeEvents),
		newPermissionSet(readTokens), newPermissionSet(readAccounts, readLeads, readScoring),
	}
)

type inventedPerson struct {
	firstName, lastName, email string
	role                       Role
	status                     UserStatus
}

// person draws the nth user, whose address tells n, and leads nowhere (RFC 2606,
// section 3).
func (i *invention) person(n int) inventedPerson {
	p := inventedPerson{firstName: choice(i, inventedFirstNames), lastName: choice(i, inventedLastNames), role: RoleMember, status: StatusActive}
	p.email = fmt.Sprintf("%s.%d@example.com", asciiLower(p.lastName), n)
	switch x := i.share(); {
	case n%seedOrganization == 1:
		p.role = RoleOwner
	case x < 0.05:
		p.role = RoleAdmin
	case x < 0.25:
		p.role = RoleViewer
	}
	if p.role != RoleOwner && i.share() < 0.02 {
		p.status = StatusSuspended
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

// token draws what a token of the last two years may look like now: most of them
// younger than a year, three in ten without an end, some revoked, some never
// used.
func (i *invention) token(now time.Time) token {
	t := token{name: choice(i, inventedNames), prefix: i.prefix(), createdAt: i.between(now.Add(-seedPast), now, 1.5)}
	end := now
	if days := choice(i, inventedDays); days > 0 {
		expires := t.createdAt.Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
		t.expiresAt = &expires
		if expires.Before(end) {
			end = expires
		}
	}
	if i.share() < 0.15 {
		revoked := i.between(t.createdAt, end, 1)
		t.revokedAt, end = &revoked, revoked
	}
	begin := t.createdAt
	if t.expiresAt == nil && i.share() < 0.03 {
		from := t.createdAt.Add(time.Duration(i.below(7*24)) * time.Hour).Truncate(time.Second)
		t.validFrom, begin = &from, from
	}
	if i.share() < 0.80 && begin.Before(end) {
		used := i.between(begin, end, 3)
		t.lastUsedAt = &used
	}
	if i.share() < 0.10 {
		t.permissions = choice(i, inventedNarrowing)
	}
	return t
}

func (i *invention) prefix() string { return string(personalAccessToken) + i.hex(publicDigits/2) }

func (i *invention) digest() string { return i.hex(32) }

func (i *invention) hex(bytes int) string {
	var buffer [32]byte
	_, _ = i.source.Read(buffer[:bytes]) // never returns an error
	return hex.EncodeToString(buffer[:bytes])
}
