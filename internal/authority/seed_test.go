package authority

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
)

func TestSeed_InventsWhatTheAPICanServe(t *testing.T) {
	overStores(t, func(t *testing.T, kind string) {
		f := newFixture(t, Config{Store: kind})
		const users, tokens = 300, 6000
		made, err := f.Seed(t.Context(), SeedConfig{Users: users, Tokens: tokens})
		if err != nil {
			t.Fatal(err)
		}
		if made.Users != users || made.Tokens != tokens || made.Organizations != 2 || len(made.Emails) != 3 {
			t.Errorf("made %+v", made)
		}
		if made.Active+made.Expired+made.Revoked != tokens || min(made.Active, made.Expired, made.Revoked) < tokens/10 {
			t.Errorf("of the tokens %d work, %d have expired and %d are revoked", made.Active, made.Expired, made.Revoked)
		}
		listed, err := f.Users(t.Context())
		if err != nil || len(listed) != users {
			t.Fatalf("%d users, %v", len(listed), err)
		}
		sum, now, most := 0, f.now(), 0
		for _, u := range listed {
			list, err := f.TokensOf(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, tok := range list {
				if problem := impossible(tok, now); problem != "" {
					t.Errorf("a token %s: %+v", problem, tok)
				}
			}
			sum, most = sum+len(list), max(most, len(list))
		}
		if sum != tokens || most < 2*tokens/users {
			t.Errorf("%d tokens, %d of one user", sum, most)
		}
		// What is told as the way to sign in is one.
		session, err := f.IssueSession(t.Context(), made.Emails[0], 0)
		if err != nil {
			t.Fatal(err)
		}
		if rows := f.list(session); len(rows) != most {
			t.Errorf("the first user lists %d tokens, want the most, %d", len(rows), most)
		}
		if _, err := f.Seed(t.Context(), SeedConfig{Users: 10, Tokens: 10}); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("a second time: %v", err)
		}
		if again, err := f.Seed(t.Context(), SeedConfig{Users: 10, Tokens: 25, Add: true}); err != nil || again.Tokens != 25 {
			t.Errorf("beside others: %+v, %v", again, err)
		}
	})
}

// impossible says what no token of the API could look like.
func impossible(t domain.Token, now time.Time) string {
	within := func(at *time.Time, from, to time.Time) bool { return at == nil || !at.Before(from) && !at.After(to) }
	end := now
	if t.RevokedAt != nil {
		end = *t.RevokedAt
	}
	switch {
	case (&domain.Tokens{Now: time.Now}).Check(domain.Identity{}, domain.TokenRequest{Name: t.Name}) != nil:
		return "has a name that is refused"
	case t.CreatedAt.After(now), !within(t.RevokedAt, t.CreatedAt, now), !within(t.LastUsedAt, t.CreatedAt, end):
		return "has times in no order"
	case t.LastUsedAt != nil && (domain.Expired(t.ExpiresAt, *t.LastUsedAt) || t.ValidFrom != nil && t.LastUsedAt.Before(*t.ValidFrom)):
		return "was used when it was not accepted"
	case t.ExpiresAt != nil && !t.ExpiresAt.After(t.CreatedAt):
		return "ended before it began"
	case !strings.HasPrefix(t.Prefix, "kbn_pat_") || len(t.Prefix) != len("kbn_pat_")+domain.PublicDigits:
		return "has a prefix of another form"
	case t.Permissions != nil && !t.Permissions.Within(domain.KnownPermissions):
		return "has permissions that there are not"
	}
	return ""
}

func TestSeed_RefusesNumbersBeyondBounds(t *testing.T) {
	f := newFixture(t, Config{})
	for _, cfg := range []SeedConfig{{Users: 0, Tokens: 1}, {Users: 1_000_000 + 1}, {Users: 1, Tokens: -1}, {Users: 1, Tokens: 20_000_000 + 1}} {
		var invalid *InvalidError
		if _, err := f.Seed(t.Context(), cfg); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
