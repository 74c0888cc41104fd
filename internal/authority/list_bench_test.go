package authority

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
)

const (
	listFew, listMany = 1_000, 1_000_000
	listTokensPerUser = 20
	listOwnTokens     = 100
	listRounds        = 2000
)

// BenchmarkList measures how long a user waits for the list of their hundred
// tokens among a thousand tokens of others and among a million, asking for both
// in turn. script/bench runs it once and holds it to the budget.
func BenchmarkList(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		measureList(b, func(name string) Config {
			return Config{Store: "sqlite:" + filepath.Join(b.TempDir(), name+".db")}
		})
	})
	b.Run("postgres", func(b *testing.B) {
		measureList(b, func(name string) Config {
			return Config{Store: postgres.Database(b), PepperFile: filepath.Join(b.TempDir(), name+".pepper")}
		})
	})
}

// seeded is an API with many tokens and a user with some.
type seeded struct {
	*httptest.Server
	pat string
	// took is what the making of the tokens took.
	took time.Duration
}

func startSeeded(b *testing.B, cfg Config, tokens int) seeded {
	b.Helper()
	cfg.TokenLimit = 1000
	a := openToMeasure(b, cfg)
	made, err := a.Seed(b.Context(), SeedConfig{Users: tokens / listTokensPerUser, Tokens: tokens})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := a.AddUser(b.Context(), NewUser{Email: "ada@example.com"}); err != nil {
		b.Fatal(err)
	}
	var issued Issued
	for i := range listOwnTokens {
		ends := time.Now().Add(time.Duration(i+1) * day)
		if issued, err = a.IssueToken(b.Context(), "ada@example.com", fmt.Sprintf("MCP Server - Work Laptop %d", i), &ends); err != nil {
			b.Fatal(err)
		}
	}
	site := httptest.NewServer(a.Handler())
	b.Cleanup(site.Close)
	return seeded{site, issued.Value, made.Took}
}

func (s seeded) list(ctx context.Context, b *testing.B) time.Duration {
	b.Helper()
	began := time.Now()
	if err := askOnce(ctx, http.DefaultClient, s.URL+"/settings/tokens", s.pat); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func measureList(b *testing.B, store func(name string) Config) {
	few, many := startSeeded(b, store("few"), listFew), startSeeded(b, store("many"), listMany)
	for b.Loop() {
		var amongFew, amongMany []time.Duration
		for i := range listRounds + listRounds/10 {
			inFew, inMany := few.list(b.Context(), b), many.list(b.Context(), b)
			if i >= listRounds/10 { // the first tenth warms up
				amongFew, amongMany = append(amongFew, inFew), append(amongMany, inMany)
			}
		}
		slices.Sort(amongFew)
		slices.Sort(amongMany)
		b.ReportMetric(float64(amongFew[listRounds/2])/float64(time.Millisecond), "few-ms")
		b.ReportMetric(float64(amongMany[listRounds/2])/float64(time.Millisecond), "many-ms")
		b.ReportMetric(many.took.Seconds(), "seeded-s")
	}
}
