package server

import (
	"context"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
)

type servingKey struct{}

// withServing lets requests under ctx know the context that ends when the
// server stops taking requests.
func withServing(ctx, serving context.Context) context.Context {
	return context.WithValue(ctx, servingKey{}, serving)
}

// endListening ends requests on which a client only listens when the server
// stops, so that they do not hold up its end.
func endListening(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving, ok := r.Context().Value(servingKey{}).(context.Context)
		if !ok || !onlyListens(r) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, end := endedBy(r.Context(), serving)
		defer end()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// onlyListens reports whether r opens a stream of notifications: with GET in
// protocols before 2026-07-28, with a message since then.
func onlyListens(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodGet || bad == nil && m.Method == string(mcp.MethodSubscriptionsListen)
}

// endedBy returns a context that ends with ctx and with other. The function
// returned frees what it took.
func endedBy(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
