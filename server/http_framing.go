package server

import "net/http"

// endDoubtfulConnections takes no further request from a connection on which it
// is not beyond doubt where one ends. A proxy in front may read the same bytes
// otherwise, and what it takes for the body of one user's request would be
// another request here (RFC 9112, section 11.2).
//
// net/http refuses most of such framing. It lets pass, and does not tell, a
// Content-Length beside Transfer-Encoding, and a Transfer-Encoding in HTTP/1.0;
// requests of these two kinds are the last on their connection.
func endDoubtfulConnections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
