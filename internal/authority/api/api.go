// Package api is the HTTP interface of the embedded API. Errors are JSON of the form
// {"error": {"code", "message", "request_id"}}.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/authority/usage"
)

// API serves the endpoints. Checking the Host header is up to the listener.
type API struct {
	Gateway  *exchange.Gateway
	Verifier *domain.Verifier
	Tokens   *domain.Tokens
	Users    *domain.Directory
	Usage    *usage.Log
	Limits   *limits.Tokens   // nil: none
	Faults   *faults.Injector // nil: none

	// Ping returns an error if the store does not answer.
	Ping func(context.Context) error
}

// Handler returns all endpoints. /healthz and /openapi.json need no credential.
func (a *API) Handler() http.Handler { return a.HandlerFor(a.Routes()) }

// Routes returns the whole interface.
func (a *API) Routes() []exchange.Route {
	return []exchange.Route{
		{Method: http.MethodPost, Pattern: "/settings/tokens", Needs: domain.WriteTokens, Serve: a.serveCreateToken},
		{Method: http.MethodGet, Pattern: "/settings/tokens", Needs: domain.ReadTokens, Serve: a.serveListTokens},
		{Method: http.MethodPatch, Pattern: "/settings/tokens/{id}", Needs: domain.WriteTokens, Serve: a.serveUpdateToken},
		{Method: http.MethodDelete, Pattern: "/settings/tokens/{id}", Needs: domain.WriteTokens, Serve: a.serveRevokeToken},
		{Method: http.MethodGet, Pattern: "/settings/tokens/{id}/usage", Needs: domain.ReadTokens, Serve: a.serveUsage},
		{Method: http.MethodGet, Pattern: "/me", Serve: a.serveMe},
		{Method: http.MethodGet, Pattern: "/org-units", Needs: domain.ReadUnits, Serve: a.serveUnits},
		{Method: http.MethodPost, Pattern: "/org-units/active", Needs: domain.WriteUnits, Serve: a.serveActiveUnit},
		{Method: http.MethodGet, Pattern: "/healthz", Open: true, Serve: a.serveHealth},
		{Method: http.MethodGet, Pattern: "/openapi.json", Open: true, Serve: a.serveDescription},
	}
}

// HandlerFor returns some of the endpoints, behind all checks.
func (a *API) HandlerFor(routes []exchange.Route) http.Handler {
	table := exchange.NewTable(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := &exchange.Exchange{ResponseWriter: w, RequestID: domain.NewID("req_"), At: a.Gateway.Now()}
		header := w.Header()
		header.Set("X-Request-Id", ex.RequestID)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		start := time.Now()
		defer func() {
			if panicked := recover(); panicked != nil {
				if panicked == http.ErrAbortHandler { //nolint:errorlint // the documented way to recognize it
					panic(panicked)
				}
				a.Gateway.Log.Error("a request panicked", slog.String("request_id", ex.RequestID), slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
				a.fail(ex, exchange.InternalError())
			}
			a.Gateway.Note(r, ex, time.Since(start))
			if ex.TokenID != "" {
				a.Usage.Record(domain.Use{TokenID: ex.TokenID, At: ex.At, RequestID: ex.RequestID, Method: r.Method, Path: ex.Pattern, Status: ex.Status})
			}
			if ex.Fault == dropAnswer {
				panic(http.ErrAbortHandler) // closes the connection
			}
		}()
		if err := a.serve(ex, r, table); err != nil {
			a.fail(ex, a.Gateway.ProblemFor(r.Context(), ex, err))
		}
	})
}

// serve routes, authenticates and authorizes a request.
func (a *API) serve(ex *exchange.Exchange, r *http.Request, table exchange.Table) error {
	rt, err := table.Match(r)
	ex.Pattern = rt.Pattern
	if err := a.Gateway.Pass(ex, r); err != nil {
		return err
	}
	if err := a.injectFault(ex, r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	// Limits how long an unresponsive database can hold a request.
	ctx, cancel := context.WithTimeout(r.Context(), exchange.RequestTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	if rt.Open {
		return rt.Serve(ex, r, domain.Identity{})
	}
	value, err := credentialOf(r.Header)
	if err != nil {
		return err
	}
	as, err := a.Verifier.Authenticate(ctx, value)
	var refused *domain.Refusal
	switch {
	case errors.As(err, &refused):
		ex.Prefix, ex.Refused = refused.Prefix, refused.Cause
		if refused.Cause == domain.CauseMalformed {
			return malformedCredential(value)
		}
		return exchange.InvalidCredential()
	case err != nil:
		// An unverified caller is never accepted.
		a.Gateway.Log.Error("a credential could not be verified", slog.String("request_id", ex.RequestID), slog.Any("error", err))
		return exchange.Unavailable()
	}
	ex.Prefix, ex.UserID = as.Prefix, as.UserID
	if as.Kind == domain.PersonalAccessToken {
		ex.TokenID = as.CredentialID
	}
	if err := a.countRequest(ex, as); err != nil {
		return err
	}
	if rt.Needs != "" && !as.Permissions.Contains(rt.Needs) {
		return domain.MissingPermission(rt.Needs, as)
	}
	return rt.Serve(ex, r, as)
}

func (a *API) fail(ex *exchange.Exchange, p *exchange.Problem) {
	if ex.Status != 0 {
		return // the answer has begun and cannot be taken back
	}
	ex.Reason = cmp.Or(p.Reason, p.Code)
	if err := p.Write(ex, ex.RequestID); err != nil {
		a.Gateway.Log.Debug("an answer could not be sent", slog.String("request_id", ex.RequestID), slog.Any("error", err))
	}
}

// countRequest counts a request by its token. Sessions have the per-address limit only.
func (a *API) countRequest(ex *exchange.Exchange, as domain.Identity) error {
	if a.Limits == nil || as.Kind != domain.PersonalAccessToken {
		return nil
	}
	level := a.Limits.Take(as.CredentialID, a.Gateway.Now())
	exchange.Announce(ex.Header(), level)
	if level.Taken {
		return nil
	}
	ex.Refused = "one of too many of its token"
	return exchange.RateLimited("this token", level)
}

const dropAnswer = "drop-answer"

// injectFault delays a request, fails it, or drops its answer.
func (a *API) injectFault(ex *exchange.Exchange, r *http.Request) error {
	if a.Faults == nil || ex.Pattern == exchange.HealthPath {
		return nil
	}
	status, drop := a.Faults.Next()
	delayed, err := a.Faults.Delay(r.Context())
	if err == nil && delayed {
		err = restartDeadlines(ex, r)
	}
	switch {
	case err != nil:
		return err
	case status != 0:
		ex.Fault = fmt.Sprint(status)
		return faultProblem(status)
	case drop:
		ex.Fault = dropAnswer
		ex.ResponseWriter = &unsent{header: ex.Header()}
	}
	return nil
}

// restartDeadlines restarts the time limits for the body and for the answer.
func restartDeadlines(ex *exchange.Exchange, r *http.Request) error {
	now, connection := time.Now(), http.NewResponseController(ex)
	err := connection.SetWriteDeadline(now.Add(exchange.WriteTimeout))
	if r.Body != http.NoBody { // without one a late read would look like a caller who has gone
		err = errors.Join(err, connection.SetReadDeadline(now.Add(exchange.ReadTimeout)))
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("go on after a fault: %w", err)
	}
	return nil
}

// faultProblem looks like the real failure, but its message says that it is injected.
func faultProblem(status int) *exchange.Problem {
	p := &exchange.Problem{Status: status, Code: "internal", Message: "this failure was injected, as the operator asked at the start: nothing was changed"}
	switch status {
	case http.StatusTooManyRequests:
		p.Code = "rate_limited"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		p.Code = "unavailable"
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		p.Header = http.Header{"Retry-After": {"1"}}
	}
	return p
}

// unsent discards an answer.
type unsent struct{ header http.Header }

func (u *unsent) Header() http.Header         { return u.header }
func (u *unsent) Write(p []byte) (int, error) { return len(p), nil }
func (u *unsent) WriteHeader(int)             {}
