package server

import "net/http"

// What pages of allowed origins may do (Fetch standard, CORS protocol). There
// is no Access-Control-Allow-Credentials: tokens come in headers that the page
// sets, never in cookies that a browser adds.
const (
	corsMethods = "POST, GET, DELETE"
	corsHeaders = "Authorization, X-API-Key, Content-Type, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, X-Kenbun-Recipient, Last-Event-ID, Traceparent, Tracestate"
	corsExposed = "Mcp-Session-Id, WWW-Authenticate, Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
	corsMaxAge  = "600" // seconds
)

// shareWithOrigins lets pages read the answers, and answers the question that
// browsers ask before. It stands behind the check of Origin: an origin that
// comes so far is allowed.
func shareWithOrigins(header tokenHeader) guard {
	allowed := corsHeaders
	if header != "" {
		allowed += ", " + string(header)
	}
	return func(next http.Handler) http.Handler { return shareWith(allowed, next) }
}

func shareWith(headers string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", corsMethods)
			w.Header().Set("Access-Control-Allow-Headers", headers)
			w.Header().Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Access-Control-Expose-Headers", corsExposed)
		next.ServeHTTP(w, r)
	})
}
