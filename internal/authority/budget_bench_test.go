package authority

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
)

const (
	budgetCallers = 16
	budgetRounds  = 7
	budgetRound   = 500 * time.Millisecond
	budgetVerify  = 5000 // verifications of which the slowest hundredth is told
)

// BenchmarkBudget measures what a verification takes, and how many requests a
// second GET /me answers over a socket with verification, as a share of those
// that the same handler answers for an identity that it is given. script/bench
// runs it once and holds it to the budgets.
func BenchmarkBudget(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		measureVerification(b, Config{Store: sqliteStore(b)})
	})
	b.Run("postgres", func(b *testing.B) {
		measureVerification(b, Config{Store: postgres.Database(b), PepperFile: filepath.Join(b.TempDir(), "pepper")})
	})
}

// openToMeasure opens an authority that is closed when the benchmark ends.
func openToMeasure(b *testing.B, cfg Config) *Authority {
	b.Helper()
	a, err := Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := a.Close(); err != nil {
			b.Error(err)
		}
	})
	return a
}

func measureVerification(b *testing.B, cfg Config) {
	a := openToMeasure(b, cfg)
	if _, err := a.AddUser(b.Context(), NewUser{Email: "ada@example.com"}); err != nil {
		b.Fatal(err)
	}
	issued, err := a.IssueToken(b.Context(), "ada@example.com", "x", nil)
	if err != nil {
		b.Fatal(err)
	}
	as, err := a.Authenticate(b.Context(), issued.Value)
	if err != nil {
		b.Fatal(err)
	}
	var serveMe exchange.Endpoint
	for _, rt := range a.api.Routes() {
		if rt.Pattern == "/me" {
			serveMe = rt.Serve
		}
	}
	verified := httptest.NewServer(a.Handler())
	b.Cleanup(verified.Close)
	given := httptest.NewServer(a.api.HandlerFor([]exchange.Route{{
		Method: http.MethodGet, Pattern: "/me", Open: true,
		Serve: func(w http.ResponseWriter, r *http.Request, _ domain.Identity) error {
			// What a token is used for is recorded here too: that is no part of its
			// verification.
			w.(*exchange.Exchange).TokenID = as.CredentialID
			return serveMe(w, r, as)
		},
	}}))
	b.Cleanup(given.Close)
	for b.Loop() {
		took := make([]time.Duration, budgetVerify)
		for i := range took {
			began := time.Now()
			if _, err := a.Authenticate(b.Context(), issued.Value); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		var with, without, shares []float64
		for round := range budgetRounds + 1 {
			given, verified := requestRate(b, given.URL, issued.Value), requestRate(b, verified.URL, issued.Value)
			if round > 0 { // the first warms up
				without, with, shares = append(without, given), append(with, verified), append(shares, verified/given)
			}
		}
		for _, figures := range [][]float64{with, without, shares} {
			slices.Sort(figures)
		}
		b.ReportMetric(float64(took[len(took)*99/100])/float64(time.Millisecond), "verify-p99-ms")
		b.ReportMetric(shares[len(shares)/2]*100, "verified-%")
		b.ReportMetric(with[len(with)/2], "verified/s")
		b.ReportMetric(without[len(without)/2], "unverified/s")
	}
}

// requestRate is how many requests a second callers get answered that do
// nothing else.
func requestRate(b *testing.B, url, pat string) float64 {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: budgetCallers}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(b.Context(), budgetRound)
	defer cancel()
	var answered atomic.Int64
	var callers sync.WaitGroup
	began := time.Now()
	for range budgetCallers {
		callers.Go(func() {
			for ctx.Err() == nil {
				if err := askOnce(b.Context(), client, url+"/me", pat); err != nil {
					b.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	callers.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds()
}

func askOnce(ctx context.Context, client *http.Client, url, pat string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+pat)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read to its end
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
