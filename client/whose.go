package client

import (
	"bytes"
	"net/http"

	"github.com/kenbun/kenbun-mcp/internal/intermediary"
)

// foreign tells whether an answer of no good status is somebody else's, and
// whose; "" if it is the kenbun API's own. The API's own are JSON of a shape that
// parseErrorBody knows, or a documented status without a body. Everything else
// comes from something in between: web pages, plain text, other JSON, other
// challenges than Bearer, redirects.
func foreign(a *answer, said errorBody) Cause {
	switch {
	case a.status >= 300 && a.status <= 399:
		return CauseRedirect
	case a.status == http.StatusProxyAuthRequired:
		return CauseProxyLogin
	case isOwn(a, said):
		return ""
	case a.status >= 500 && a.status != http.StatusNetworkAuthenticationRequired:
		return CauseGateway
	}
	return CauseIntermediary
}

func isOwn(a *answer, said errorBody) bool {
	if intermediary.Signed(a.status, a.header) {
		return false
	}
	switch string(bytes.Join(bytes.Fields(a.body), nil)) {
	case "", "{}", "[]", "null", `""`:
		return isDocumentedWithoutBody(a.status) || len(a.header.Values("Www-Authenticate")) > 0
	}
	return said.isJSON
}

// isDocumentedWithoutBody lists the statuses of errors that the kenbun API
// documents, and those that mean the same whoever sends them.
func isDocumentedWithoutBody(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusInternalServerError,
		http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// isOwnSuccess reports whether a good answer to a DELETE is one that the API can
// give: without a body, or JSON.
func isOwnSuccess(a *answer) bool {
	if a.status < 200 || a.status > 299 || intermediary.IsPage(a.header) {
		return false
	}
	return len(bytes.TrimSpace(a.body)) == 0 || isJSON(a.header.Get("Content-Type"))
}

// selfDescription is what something in between says about itself.
func selfDescription(a *answer, said errorBody) string {
	return intermediary.Describe(a.header, a.body, said.message)
}
