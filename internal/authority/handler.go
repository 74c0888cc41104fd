package authority

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// requestTimeout bounds what a request's body and the store may take together. It
// is less than the server's limit for the answer, so that there is one.
const requestTimeout = 20 * time.Second

// Handler returns the HTTP interface: the token endpoints and those of the
// Organizational Units as the kenbun API documentation describes them, what
// goes beyond it, and, without a credential, GET /healthz and GET
// /openapi.json, which describes all of it. Errors are JSON of the form
// {"error": {"code", "message", "request_id"}}.
//
// With [Config.Web] it serves the web page below /web as well, whose answers are
// HTML.
//
// The API does not look at the Host header; that is for whoever listens.
func (a *Authority) Handler() http.Handler {
	api := a.handlerFor(a.routes())
	if !a.web {
		return api
	}
	pages := a.webHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isWebPath(plainPath(r.URL)) {
			pages.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

func (a *Authority) handlerFor(routes []route) http.Handler {
	table := newRouteTable(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := &exchange{ResponseWriter: w, requestID: newID("req_"), at: a.now()}
		header := w.Header()
		header.Set("X-Request-Id", ex.requestID)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		start := time.Now()
		defer func() {
			if panicked := recover(); panicked != nil {
				if panicked == http.ErrAbortHandler { //nolint:errorlint // the documented way to recognize it
					panic(panicked)
				}
				a.log.Error("a request panicked", slog.String("request_id", ex.requestID), slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
				a.fail(ex, internalError())
			}
			a.logExchange(r, ex, time.Since(start))
			if ex.tokenID != "" {
				a.usage.record(tokenUse{tokenID: ex.tokenID, at: ex.at, requestID: ex.requestID, method: r.Method, path: ex.pattern, status: ex.status})
			}
			if ex.fault == dropAnswer {
				panic(http.ErrAbortHandler) // closes the connection
			}
		}()
		if err := a.serve(ex, r, table); err != nil {
			a.fail(ex, a.problemFor(r.Context(), ex, err))
		}
	})
}

// serve leads a request through routing, authentication and permission to its
// endpoint.
func (a *Authority) serve(ex *exchange, r *http.Request, table routeTable) error {
	rt, err := table.match(r)
	ex.pattern = rt.pattern
	if err := a.passGateway(ex, r); err != nil {
		return err
	}
	if err := a.injectFault(ex, r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	// A database that has fallen silent must not hold requests for ever.
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	if rt.open {
		return rt.serve(ex, r, identity{})
	}
	value, err := credentialOf(r.Header)
	if err != nil {
		return err
	}
	as, err := a.authenticate(ctx, value)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		ex.prefix, ex.refused = refused.prefix, refused.cause
		if refused.cause == causeMalformed {
			return malformedCredential(value)
		}
		return invalidCredential()
	case err != nil:
		// Who cannot be verified is not let in.
		a.log.Error("a credential could not be verified", slog.String("request_id", ex.requestID), slog.Any("error", err))
		return unavailable()
	}
	ex.prefix, ex.userID = as.prefix, as.userID
	if as.kind == personalAccessToken {
		ex.tokenID = as.credentialID
	}
	if err := a.countRequest(ex, as); err != nil {
		return err
	}
	if rt.needs != "" && !as.permissions.contains(rt.needs) {
		return missingPermission(rt.needs, as)
	}
	return rt.serve(ex, r, as)
}

// credentialOf takes the one credential out of the headers. Query, cookies and
// body are no place for it and are not looked at.
func credentialOf(h http.Header) (string, error) {
	authorization, apiKey := h.Values("Authorization"), h.Values("X-Api-Key")
	switch {
	case len(authorization)+len(apiKey) == 0:
		return "", missingCredential()
	case len(authorization)+len(apiKey) > 1:
		return "", severalCredentials()
	case len(apiKey) == 1:
		if !strings.HasPrefix(apiKey[0], string(personalAccessToken)) {
			// A session is a bearer token and nothing else.
			return "", malformedCredential(apiKey[0])
		}
		return apiKey[0], nil
	}
	// RFC 9110, section 11.4: the scheme in any case, then spaces.
	scheme, rest, _ := strings.Cut(authorization[0], " ")
	if ascii.EqualFold(scheme, "Basic") {
		return "", serviceAccount()
	}
	if !ascii.EqualFold(scheme, "Bearer") {
		return "", notBearer(authorization[0])
	}
	return strings.TrimLeft(rest, " "), nil
}

// problemFor turns an endpoint's error into an answer. What is no answer by
// itself goes to the log and not to the caller.
func (a *Authority) problemFor(ctx context.Context, ex *exchange, err error) *problem {
	var answer *problem
	var invalid *InvalidError
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		ex.refused = refused.cause
		return invalidCredential()
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &invalid):
		return badRequest(invalid.Error())
	case errors.Is(err, ErrTokenLimit):
		return tokenLimitReached()
	case errors.Is(err, errTokenNotFound):
		return noSuchToken()
	case errors.Is(err, errTokenRevoked):
		return tokenRevoked()
	case errors.Is(err, errUnitNotFound):
		return noSuchUnit()
	}
	level := slog.LevelError
	if ctx.Err() != nil {
		level = slog.LevelDebug // the caller has gone, and nobody is waiting
	}
	a.log.Log(ctx, level, "a request failed", slog.String("request_id", ex.requestID), slog.Any("error", err))
	switch {
	case errors.Is(err, errOutcomeUnknown):
		return outcomeUnknown()
	case a.db.unavailable(err):
		return unavailable()
	}
	return internalError()
}

func (a *Authority) fail(ex *exchange, p *problem) {
	if ex.status != 0 {
		return // the answer has begun and cannot be taken back
	}
	ex.reason = cmp.Or(p.reason, p.code)
	if err := p.write(ex, ex.requestID); err != nil {
		a.log.Debug("an answer could not be sent", slog.String("request_id", ex.requestID), slog.Any("error", err))
	}
}

func (a *Authority) logExchange(r *http.Request, ex *exchange, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("request_id", ex.requestID),
		slog.String("method", r.Method),
		// The pattern and not the path, which is the caller's to write.
		slog.String("route", ex.pattern),
		slog.Int("status", ex.status),
		slog.Duration("took", took),
	}
	if ex.prefix != "" {
		attrs = append(attrs, slog.String("token_prefix", ex.prefix))
	}
	if ex.userID != "" {
		attrs = append(attrs, slog.String("user_id", ex.userID))
	}
	if ex.fault != "" {
		attrs = append(attrs, slog.String("fault", ex.fault))
	}
	if ex.reason != "" {
		attrs = append(attrs, slog.String("reason", ex.reason))
	}
	level := slog.LevelInfo
	if ex.refused != "" {
		attrs = append(attrs, slog.String("refused", ex.refused))
		level = slog.LevelWarn
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// exchange is one request and what became of it.
type exchange struct {
	http.ResponseWriter
	requestID string
	at        time.Time
	pattern   string
	tokenID   string // of a personal access token that was accepted
	prefix    string
	userID    string
	refused   string
	reason    string // why the request was refused, by name
	fault     string // what went wrong on demand
	status    int
}

// WriteHeader notes the status.
func (ex *exchange) WriteHeader(status int) {
	if ex.status == 0 {
		ex.status = status
	}
	ex.ResponseWriter.WriteHeader(status)
}

// Write notes that an answer has begun.
func (ex *exchange) Write(p []byte) (int, error) {
	if ex.status == 0 {
		ex.status = http.StatusOK
	}
	return ex.ResponseWriter.Write(p)
}

// Unwrap serves [http.ResponseController].
func (ex *exchange) Unwrap() http.ResponseWriter { return ex.ResponseWriter }
