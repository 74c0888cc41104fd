package authority

import (
	"net/http"
	"slices"
)

// healthPath is asked for by machines that look after this one, and often; it is
// neither counted nor made to fail.
const healthPath = "/healthz"

// validateAdmission looks at what says how requests are let in.
func (cfg Config) validateAdmission() error {
	limits := cfg.RateLimits
	if cfg.AddressRateLimit != (RateLimit{}) {
		limits = append(slices.Clone(limits), cfg.AddressRateLimit)
	}
	for _, limit := range limits {
		if err := limit.validate(); err != nil {
			return err
		}
	}
	return cfg.Faults.validate()
}

// openGate begins to count requests, and to have them fail if that is asked for.
func (a *Authority) openGate(cfg Config, location storeLocation) {
	var counts *requestCounts
	if location != (storeLocation{}) {
		counts = &requestCounts{a.db}
	}
	a.tokenLimits = newTokenLimits(cfg.RateLimits, counts, a.log)
	a.addressLimit = newAddressLimit(cfg.AddressRateLimit, cfg.TrustedProxies)
	a.faults = newFaultInjector(cfg.Faults, a.log)
}

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
