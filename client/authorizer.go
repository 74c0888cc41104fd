package client

import (
	"errors"
	"maps"
	"net/http"
)

// errForeignOrigin: a request was about to leave for another address.
var errForeignOrigin = errors.New("the request was not for the configured API address, and was not sent")

// authorizer is the one place where a token meets a request. It sends nothing
// to an origin but its own.
//
// It has no CloseIdleConnections, on purpose: go-retryablehttp calls that after
// each failed call, and one user's failure must not close everybody's
// connections.
type authorizer struct {
	base         http.RoundTripper
	scheme, host string
}

// RoundTrip implements [http.RoundTripper].
func (t *authorizer) RoundTrip(req *http.Request) (*http.Response, error) {
	cl := callFrom(req.Context())
	if cl == nil || req.URL.Scheme != t.scheme || req.URL.Host != t.host || req.Host != t.host {
		if req.Body != nil {
			_ = req.Body.Close() // nothing was sent; its error changes nothing
		}
		return nil, errForeignOrigin
	}
	cl.beginAttempt()
	authorized := *req // a RoundTripper must not change the request it was given
	authorized.Header = maps.Clone(req.Header)
	authorized.Header["Authorization"] = []string{"Bearer " + cl.secret.Reveal()}
	return t.base.RoundTrip(&authorized)
}
