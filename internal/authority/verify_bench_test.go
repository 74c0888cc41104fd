package authority

import (
	"net/http"
	"strings"
	"testing"
)

// BenchmarkVerify measures a request whose only work is to be verified.
func BenchmarkVerify(b *testing.B) {
	for _, store := range []string{"memory", sqliteStore(b), newPostgres(b)} {
		name, _, _ := strings.Cut(store, ":")
		a, err := Open(b.Context(), withPepper(Config{Store: store}))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := a.AddUser(b.Context(), NewUser{Email: "ada@example.com"}); err != nil {
			b.Fatal(err)
		}
		issued, err := a.IssueToken(b.Context(), "ada@example.com", "x", nil)
		if err != nil {
			b.Fatal(err)
		}
		h := a.Handler()
		ask := func(b *testing.B) {
			if got := record(h, "GET", "/me", bearer(issued.Value)); got.status != http.StatusOK {
				b.Fatalf("status %d", got.status)
			}
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ask(b)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask(b)
				}
			})
		})
		if err := a.Close(); err != nil {
			b.Error(err)
		}
	}
}
