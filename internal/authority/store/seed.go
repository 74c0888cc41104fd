package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// ErrNotEmpty indicates that a store has users already.
var ErrNotEmpty = errors.New("the store already has users, and the invented ones would be added among them")

const (
	maxSeedTokens = 20_000_000
	maxSeedUsers  = 1_000_000

	// seedBatch is the number of rows a statement. SQLite looks up each $1-style
	// parameter among all before it, so that larger ones are slower.
	seedBatch = 10

	// seedTransaction is how many tokens are committed together.
	seedTransaction = 50_000

	// seedOrganization is how many users make up an organization.
	seedOrganization = 250
)

// SeedConfig configures [Store.Seed].
type SeedConfig struct {
	Users  int // 1 to 1,000,000
	Tokens int // 0 to 20,000,000, whatever the limit of tokens a user is
	// Add allows a store with users.
	Add bool
}

// Seeded is what [Store.Seed] made.
type Seeded struct {
	Users         int           `json:"users"`
	Organizations int           `json:"organizations"`
	Tokens        int           `json:"tokens"`
	Active        int           `json:"active"`
	Expired       int           `json:"expired"`
	Revoked       int           `json:"revoked"`
	Took          time.Duration `json:"-"`
	// Emails are the users with the most, the median and the fewest tokens.
	Emails []string `json:"emails"`
}

// Seed adds invented users and tokens to a store. Nobody has the tokens' values. The error
// is [ErrNotEmpty] if the store has users and cfg.Add is false, or an [*InvalidError].
// What was stored before a failure stays.
func (db *Store) Seed(ctx context.Context, cfg SeedConfig, pepperVersion int64, now time.Time) (Seeded, error) {
	if cfg.Users < 1 || cfg.Users > maxSeedUsers {
		return Seeded{}, &domain.InvalidError{Field: "users", Problem: fmt.Sprintf("must be 1 to %d", maxSeedUsers)}
	}
	if cfg.Tokens < 0 || cfg.Tokens > maxSeedTokens {
		return Seeded{}, &domain.InvalidError{Field: "tokens", Problem: fmt.Sprintf("must be 0 to %d", maxSeedTokens)}
	}
	began := time.Now()
	var present int
	if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM users`).Scan(&present); err != nil {
		return Seeded{}, fmt.Errorf("count the users: %w", err)
	}
	if present > 0 && !cfg.Add {
		return Seeded{}, ErrNotEmpty
	}
	if db.prepareBulk != "" {
		if _, err := db.write.ExecContext(ctx, db.prepareBulk); err != nil {
			return Seeded{}, fmt.Errorf("prepare for many rows: %w", err)
		}
	}
	s := &seeder{db: db, pepperVersion: pepperVersion, now: now, invented: newInvention(), offset: present, cfg: cfg}
	if err := s.users(ctx); err != nil {
		return Seeded{}, err
	}
	if err := s.tokens(ctx); err != nil {
		return Seeded{}, err
	}
	s.made.Took = time.Since(began)
	return s.made, nil
}

// seeder is one call of Seed.
type seeder struct {
	db            *Store
	pepperVersion int64
	now           time.Time
	invented      *invention
	offset        int
	cfg           SeedConfig
	members       []seedMember
	made          Seeded
}

type seedMember struct{ userID, orgID string }

// users stores organizations of seedOrganization users each.
func (s *seeder) users(ctx context.Context) error {
	for first := 0; first < s.cfg.Users; first += seedOrganization {
		count := min(seedOrganization, s.cfg.Users-first)
		founded := s.now.Add(-seedPast)
		var members []seedMember
		var emails []string
		err := s.db.change(ctx, func(tx *sql.Tx) error {
			name := fmt.Sprintf("Load %d", (s.offset+first)/seedOrganization+1)
			orgID, _, err := ensureOrganization(ctx, tx, name, founded)
			if err != nil {
				return err
			}
			users := rows{into: "users (id, email, email_key, first_name, last_name, status, verified, created_at)"}
			memberships := rows{into: "memberships (id, org_id, user_id, role, created_at)"}
			members, emails = members[:0], emails[:0] // a transaction may be tried again
			for n := range count {
				p := s.invented.person(s.offset + first + n + 1)
				id := domain.NewID("user_")
				users.add(id, p.email, domain.LookupKey(p.email), p.firstName, p.lastName, p.status, true, toMicros(founded))
				memberships.add(domain.NewID("om_"), orgID, id, p.role, toMicros(founded))
				members = append(members, seedMember{userID: id, orgID: orgID})
				if i := first + n; i == 0 || i == s.cfg.Users/2 || i == s.cfg.Users-1 {
					emails = append(emails, p.email)
				}
			}
			return errors.Join(users.store(ctx, tx), memberships.store(ctx, tx))
		})
		if err != nil {
			return fmt.Errorf("store invented users: %w", err)
		}
		s.members = append(s.members, members...)
		s.made.Emails = append(s.made.Emails, emails...)
		s.made.Organizations++
		s.made.Users += count
	}
	return nil
}

// tokens gives the first users the most: of a million tokens for 50,000 users, from about
// a hundred down to sixteen.
func (s *seeder) tokens(ctx context.Context) error {
	const unevenness = 1 / 1.2
	upTo := func(user int) int {
		return int(float64(s.cfg.Tokens)*math.Pow(float64(user)/float64(s.cfg.Users), unevenness) + 0.5)
	}
	batch := rows{into: `tokens (id, user_id, org_id, name, prefix, pepper_version, digest, created_at, last_used_at, expires_at, revoked_at, valid_from, permissions)`}
	for i, member := range s.members {
		prefixes := map[string]bool{}
		for range upTo(i+1) - upTo(i) {
			t := s.invented.token(s.now)
			for prefixes[t.Prefix] {
				t.Prefix = s.invented.prefix()
			}
			prefixes[t.Prefix] = true
			s.count(t)
			batch.add(domain.NewID("pat_"), member.userID, member.orgID, t.Name, t.Prefix, s.pepperVersion, s.invented.digest(), toMicros(t.CreatedAt),
				optionalMicros(t.LastUsedAt), optionalMicros(t.ExpiresAt), optionalMicros(t.RevokedAt), optionalMicros(t.ValidFrom), optionalPermissions(t.Permissions))
			if batch.n == seedTransaction {
				if err := s.store(ctx, &batch); err != nil {
					return err
				}
			}
		}
	}
	return s.store(ctx, &batch)
}

func (s *seeder) count(t domain.Token) {
	s.made.Tokens++
	switch {
	case t.RevokedAt != nil:
		s.made.Revoked++
	case domain.Expired(t.ExpiresAt, s.now):
		s.made.Expired++
	default:
		s.made.Active++
	}
}

func (s *seeder) store(ctx context.Context, batch *rows) error {
	err := s.db.change(ctx, func(tx *sql.Tx) error { return batch.store(ctx, tx) })
	if err != nil {
		return fmt.Errorf("store invented tokens: %w", err)
	}
	batch.values, batch.n = batch.values[:0], 0
	return nil
}

// rows are to be inserted into a table, whose name and columns are given.
type rows struct {
	into   string
	values []any
	n      int
}

func (r *rows) add(values ...any) {
	r.values = append(r.values, values...)
	r.n++
}

func (r *rows) store(ctx context.Context, tx *sql.Tx) error {
	if r.n == 0 {
		return nil
	}
	width := len(r.values) / r.n
	var statement *sql.Stmt
	prepared := 0
	for from := 0; from < r.n; from += seedBatch {
		count := min(seedBatch, r.n-from)
		if count != prepared {
			if statement != nil {
				if err := statement.Close(); err != nil {
					return err
				}
			}
			var err error
			if statement, err = tx.PrepareContext(ctx, insertStatement(r.into, count, width)); err != nil {
				return err
			}
			prepared = count
		}
		if _, err := statement.ExecContext(ctx, r.values[from*width:(from+count)*width]...); err != nil {
			return errors.Join(err, statement.Close())
		}
	}
	return statement.Close()
}

func insertStatement(into string, count, width int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + into + " VALUES ")
	for i := range count * width {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%width == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	b.WriteString(")")
	return b.String()
}
