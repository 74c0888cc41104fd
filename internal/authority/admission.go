package authority

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/clientaddress"
)

// healthPath is requested often, by machines that look after this one. It is
// neither counted nor made to fail.
const healthPath = "/healthz"

// Causes of a refusal, for the log.
const (
	causeAddressLimit = "one of too many of its address"
	causeTokenLimit   = "one of too many of its token"
)

// validateAdmission checks the settings of limits and faults.
func (cfg Config) validateAdmission() error {
	rates := cfg.RateLimits
	if cfg.AddressRateLimit != (limits.Rate{}) {
		rates = append(slices.Clone(rates), cfg.AddressRateLimit)
	}
	for _, rate := range rates {
		if err := rate.Validate(); err != nil {
			return err
		}
	}
	return cfg.Faults.Validate()
}

func (a *Authority) openGate(cfg Config) {
	a.proxies = cfg.TrustedProxies
	a.tokenLimits = limits.NewTokens(cfg.RateLimits)
	a.addressLimit = limits.NewAddresses(cfg.AddressRateLimit)
	a.faults = faults.NewInjector(cfg.Faults, a.log)
}

// passGateway counts a request by its address, before anybody is authenticated.
func (a *Authority) passGateway(ex *exchange, r *http.Request) error {
	if a.addressLimit == nil || ex.pattern == healthPath {
		return nil
	}
	level := a.addressLimit.Take(clientNetwork(r, a.proxies), a.now())
	if level.Taken {
		return nil
	}
	announce(ex.Header(), level)
	ex.refused = causeAddressLimit
	return rateLimited("your network address", level)
}

// clientNetwork returns the network from which a request comes. It is not valid
// if it is not known.
func clientNetwork(r *http.Request, proxies []netip.Prefix) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	isProxy := func(addr netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return clientaddress.Network(clientaddress.Of(peer.Addr().Unmap().WithZone(""), r.Header, isProxy))
}

// countRequest counts a request by its token. Sessions belong to a user in front
// of a page, for whom the limit of addresses is enough.
func (a *Authority) countRequest(ex *exchange, as identity) error {
	if a.tokenLimits == nil || as.kind != personalAccessToken {
		return nil
	}
	level := a.tokenLimits.Take(as.credentialID, a.now())
	announce(ex.Header(), level)
	if level.Taken {
		return nil
	}
	ex.refused = causeTokenLimit
	return rateLimited("this token", level)
}

// announce tells the caller what is left of a limit.
func announce(h http.Header, level limits.Level) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(level.Capacity))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(level.Remaining))
	h.Set("X-RateLimit-Reset", wholeSeconds(level.Reset))
}

// rateLimited answers a request that was not carried out. whose says what there
// were too many requests of.
func rateLimited(whose string, level limits.Level) *problem {
	return &problem{
		status: http.StatusTooManyRequests, code: "rate_limited",
		message: fmt.Sprintf("%s may send %s: wait as long as Retry-After says, and send fewer at once", whose, level.Rate.Words()),
		header:  http.Header{"Retry-After": {wholeSeconds(max(level.Wait, time.Second))}},
	}
}

// wholeSeconds rounds up, so that a caller who waits that long has waited enough.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

const dropAnswer = "drop-answer"

// injectFault delays a request, returns the failure that it is answered with, or
// has its answer dropped.
func (a *Authority) injectFault(ex *exchange, r *http.Request) error {
	if a.faults == nil || ex.pattern == healthPath {
		return nil
	}
	status, drop := a.faults.Next()
	delayed, err := a.faults.Delay(r.Context())
	if err == nil && delayed {
		err = restartDeadlines(ex, r)
	}
	switch {
	case err != nil:
		return err
	case status != 0:
		ex.fault = fmt.Sprint(status)
		return faultProblem(status)
	case drop:
		ex.fault = dropAnswer
		ex.ResponseWriter = &unsent{header: ex.Header()}
	}
	return nil
}

// restartDeadlines has the time for the body and for the answer begin now.
func restartDeadlines(ex *exchange, r *http.Request) error {
	now, connection := time.Now(), http.NewResponseController(ex)
	err := connection.SetWriteDeadline(now.Add(writeTimeout))
	if r.Body != http.NoBody { // without one a late read would look like a caller who has gone
		err = errors.Join(err, connection.SetReadDeadline(now.Add(readTimeout)))
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("go on after a fault: %w", err)
	}
	return nil
}

// faultProblem has the form of the real thing, and says that it is none to
// whoever reads its message.
func faultProblem(status int) *problem {
	p := &problem{status: status, code: "internal", message: "this failure was asked for when the service was started: nothing was changed"}
	switch status {
	case http.StatusTooManyRequests:
		p.code = "rate_limited"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		p.code = "unavailable"
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		p.header = http.Header{"Retry-After": {"1"}}
	}
	return p
}

// unsent takes an answer that nobody gets.
type unsent struct{ header http.Header }

func (u *unsent) Header() http.Header         { return u.header }
func (u *unsent) Write(p []byte) (int, error) { return len(p), nil }
func (u *unsent) WriteHeader(int)             {}
