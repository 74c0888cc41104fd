package authority

import (
	"net/http"
)

// healthPath is asked for by machines that look after this one, and often; it is
// neither counted nor made to fail.
const healthPath = "/healthz"

// passGateway counts a request by its address. It knows nobody yet.
func (a *Authority) passGateway(ex *exchange, r *http.Request) error {
	if a.addressLimit == nil || ex.pattern == healthPath {
		return nil
	}
	level := a.addressLimit.take(r, a.now())
	if level.taken {
		return nil
	}
	level.announce(ex.Header())
	ex.refused = causeAddressLimit
	return rateLimited("your network address", level)
}

// countRequest counts a request by its token. Sessions are a person's in front
// of a page, whom the gateway's limit is enough for.
func (a *Authority) countRequest(ex *exchange, r *http.Request, as identity) error {
	if a.tokenLimits == nil || as.kind != personalAccessToken {
		return nil
	}
	level, err := a.tokenLimits.take(r.Context(), as.credentialID, a.now())
	if err != nil {
		return err
	}
	level.announce(ex.Header())
	if level.taken {
		return nil
	}
	ex.refused = causeTokenLimit
	return rateLimited("this token", level)
}

const (
	causeAddressLimit = "one of too many of its address"
	causeTokenLimit   = "one of too many of its token"
)
