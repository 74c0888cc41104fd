package server

import (
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/human"
)

// noteRecipient hands on to whom the client's configuration wants new tokens
// encrypted. Two such headers name nobody: a proxy in between may have added
// one.
func noteRecipient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		named := r.Header.Values(human.RecipientHeader)
		if len(named) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		ctx := human.WithRecipient(r.Context(), strings.Join(named, ","))
		next.ServeHTTP(w, r.WithContext(human.WithServerName(ctx, r.Host)))
	})
}
