package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/clientaddress"
)

// HealthPath is neither counted nor made to fail.
const HealthPath = "/healthz"

// RequestTimeout bounds the reading of a body and the store together. It is less than
// [WriteTimeout], so that an answer can still be sent.
const RequestTimeout = 20 * time.Second

// MaxBody bounds the body of a request, in bytes.
const MaxBody = 64 << 10

// Pages of lists.
const (
	PageSize    = 25
	MaxPageSize = 100

	// MaxPage keeps row offsets within the integers of both databases.
	MaxPage = 1_000_000_000
)

// Gateway counts and logs every request.
type Gateway struct {
	Log *slog.Logger
	Now func() time.Time

	Addresses *limits.Addresses // nil: no limit
	Proxies   []netip.Prefix    // whose X-Forwarded-For is believed

	// Unavailable reports whether an error means that the store cannot be reached.
	Unavailable func(error) bool
}

// Pass counts a request by its address, before authentication.
func (g *Gateway) Pass(ex *Exchange, r *http.Request) error {
	if g.Addresses == nil || ex.Pattern == HealthPath {
		return nil
	}
	level := g.Addresses.Take(clientNetwork(r, g.Proxies), g.Now())
	if level.Taken {
		return nil
	}
	Announce(ex.Header(), level)
	ex.Refused = "one of too many of its address"
	return RateLimited("your network address", level)
}

// clientNetwork returns the network of a request's client, invalid if unknown.
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

// Announce sets the headers that show what is left of a limit.
func Announce(h http.Header, level limits.Level) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(level.Capacity))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(level.Remaining))
	h.Set("X-RateLimit-Reset", wholeSeconds(level.Reset))
}

// RateLimited answers a request beyond the limit of whose requests.
func RateLimited(whose string, level limits.Level) *Problem {
	return &Problem{
		Status: http.StatusTooManyRequests, Code: "rate_limited",
		Message: fmt.Sprintf("%s may send %s: wait as long as Retry-After says, and send fewer at once", whose, level.Rate.Words()),
		Header:  http.Header{"Retry-After": {wholeSeconds(max(level.Wait, time.Second))}},
	}
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// ProblemFor turns an endpoint's error into an answer. Inner errors are only logged.
func (g *Gateway) ProblemFor(ctx context.Context, ex *Exchange, err error) *Problem {
	var answer *Problem
	var invalid *domain.InvalidError
	var refused *domain.Refusal
	var missing *domain.ForbiddenError
	switch {
	case errors.As(err, &refused):
		ex.Refused = refused.Cause
		return InvalidCredential()
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &invalid):
		return BadRequest(invalid.Error())
	case errors.As(err, &missing):
		return forbidden(missing)
	case errors.Is(err, domain.ErrTokenLimit):
		return &Problem{Status: http.StatusConflict, Code: "token_limit_reached", Message: domain.ErrTokenLimit.Error()}
	case errors.Is(err, domain.ErrTokenNotFound):
		return &Problem{Status: http.StatusNotFound, Code: "not_found", Message: "you have no token with this id: see the ids with GET /settings/tokens"}
	case errors.Is(err, domain.ErrTokenRevoked):
		return &Problem{Status: http.StatusConflict, Code: "token_revoked", Message: "the token is revoked for good and cannot be changed: create another one"}
	case errors.Is(err, domain.ErrUnitNotFound):
		return &Problem{Status: http.StatusNotFound, Code: "not_found", Message: "your organization has no unit with this id: see the ids with GET /org-units"}
	}
	level := slog.LevelError
	if ctx.Err() != nil {
		level = slog.LevelDebug // the caller has gone, and nobody is waiting
	}
	g.Log.Log(ctx, level, "a request failed", slog.String("request_id", ex.RequestID), slog.Any("error", err))
	switch {
	case errors.Is(err, domain.ErrOutcomeUnknown):
		return outcomeUnknown()
	case g.Unavailable(err):
		return Unavailable()
	}
	return InternalError()
}

// Note logs a request that was answered.
func (g *Gateway) Note(r *http.Request, ex *Exchange, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("request_id", ex.RequestID),
		slog.String("method", r.Method),
		// The pattern, since the caller writes the path.
		slog.String("route", ex.Pattern),
		slog.Int("status", ex.Status),
		slog.Duration("took", took),
	}
	for _, known := range [][2]string{
		{"token_prefix", ex.Prefix}, {"user_id", ex.UserID}, {"fault", ex.Fault}, {"reason", ex.Reason}, {"refused", ex.Refused},
	} {
		if known[1] != "" {
			attrs = append(attrs, slog.String(known[0], known[1]))
		}
	}
	level := slog.LevelInfo
	if ex.Refused != "" {
		level = slog.LevelWarn
	}
	g.Log.LogAttrs(r.Context(), level, "request", attrs...)
}
