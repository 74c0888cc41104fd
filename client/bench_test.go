package client

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What a call costs beside net/http and encoding/json by themselves.
func BenchmarkListTokens(b *testing.B) {
	const body = `[{"id":"pat_1","name":"ci","token_prefix":"kbn_pat_a1b2c3d4","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":null,"revoked_at":null}]`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body)) // the benchmark fails if this did
	}))
	defer srv.Close()
	c, err := New(WithBaseURL(srv.URL))
	if err != nil {
		b.Fatal(err)
	}
	defer c.CloseIdleConnections()
	secret := NewSecret(randomPAT())

	b.Run("net/http", func(b *testing.B) {
		plain := &http.Client{Transport: c.transport}
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL+tokensPath, nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+secret.Reveal())
			resp, err := plain.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			var tokens []Token
			if err := json.NewDecoder(resp.Body).Decode(&tokens); err != nil {
				b.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("client", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.As(Credential{PAT: secret}).ListTokens(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
