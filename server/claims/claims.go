// Package claims serves the pages on which users pick up new tokens, and the same to
// the command claim.
package claims

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxBody bounds a form, in bytes. A token is far shorter.
const maxBody = 4 << 10

// Config is what a [Handler] is made from.
type Config struct {
	Claims *claims.Claims
	// PublicURL is the address of the server as browsers know it. Empty: it is not
	// known.
	PublicURL string
	// Caller returns the caller with a credential.
	Caller  func(client.Credential) tools.Caller
	Limits  *edge.RateLimits
	Metrics edge.Metrics
	Logger  *slog.Logger
	// Header is where a request would have a token.
	Header identity.TokenHeader
}

// Handler delivers new tokens to the users who asked for them, on a page or, sealed,
// to a program.
type Handler struct {
	Config
	// origin is the server's own, as browsers know it; empty if it is not known.
	origin string
}

// New returns a Handler.
func New(config Config) (*Handler, error) {
	h := &Handler{Config: config}
	if config.PublicURL == "" {
		return h, nil
	}
	u, err := url.Parse(config.PublicURL)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errBadPublicURL
	}
	origin, ok := edge.ParseOrigin(u.Scheme + "://" + u.Host)
	if !ok || (u.Scheme != "https" && (u.Scheme != "http" || !edge.IsLoopbackName(u.Hostname()))) {
		return nil, errBadPublicURL
	}
	h.origin = origin
	return h, nil
}

var errBadPublicURL = errors.New("the address under which people reach this server must be https, or http on loopback, such as https://mcp.example.com, without user name, query or fragment")

// Guard answers requests for claims, and leaves all others to next.
func (h *Handler) Guard(next http.Handler) http.Handler {
	guarded := h.Limits.GuardAddress(http.HandlerFunc(h.answer))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, claims.Path) {
			guarded.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, claims.Path)
	switch {
	case !claims.IsID(id):
		edge.WriteProblem(w, http.StatusNotFound, "not_found", "this is not the address of a claim, which ends with claim_ and 26 capital letters and digits")
	case !h.isOwnPage(r):
		edge.WriteProblem(w, http.StatusForbidden, "forbidden_origin", "a claim can only be picked up on its own page, or by a program that is not a browser")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		// Only its owner learns whether the claim exists.
		h.logLost(page(r).Form(w, http.StatusOK, ""))
	case r.Method == http.MethodPost:
		h.fetch(w, r, id)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		edge.WriteProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "open the page with GET, or pick up the claim with POST")
	}
}

func page(r *http.Request) claims.Page { return claims.Page{Server: r.Host} }

func (h *Handler) logLost(err error) {
	if err != nil {
		h.Logger.Debug("a page could not be shown", "cause", err)
	}
}

// isOwnPage refuses what another site has a browser send. A link from elsewhere
// may lead to the page, but no other site may fill it in or read it.
func (h *Handler) isOwnPage(r *http.Request) bool {
	if r.Method == http.MethodPost {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin":
		default:
			return false
		}
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	origin, ok := edge.ParseOrigin(origins[0])
	if !ok || len(origins) > 1 {
		return false
	}
	// The Host is one of the server's own here; a proxy may have ended TLS.
	return origin == h.origin || sameHost(origin, "http://", r.Host) || sameHost(origin, "https://", r.Host)
}

func sameHost(origin, scheme, host string) bool {
	own, ok := edge.ParseOrigin(scheme + host)
	return ok && own == origin
}

func (h *Handler) fetch(w http.ResponseWriter, r *http.Request, id string) {
	if r.Header.Get("Content-Encoding") != "" {
		edge.WriteProblem(w, http.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, without Content-Encoding")
		return
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "application/x-www-form-urlencoded" {
		h.fetchByForm(w, r, id)
		return
	}
	h.fetchByProgram(w, r, id)
}

// fetchByForm answers a browser.
func (h *Handler) fetchByForm(w http.ResponseWriter, r *http.Request, id string) {
	// Every browser sends the origin of a form (Fetch Standard, "append a request
	// Origin header").
	if len(r.Header.Values("Origin")) == 0 || h.Header.IsIn(r.Header) {
		edge.WriteProblem(w, http.StatusForbidden, "forbidden_origin",
			"a form is only accepted from its own page; a program sends a proof as JSON, and no token")
		return
	}
	pat, err := tokenInForm(w, r)
	if err != nil {
		edge.NoteReason(w, formReason(err), "")
		h.logLost(page(r).Form(w, http.StatusBadRequest, sentence(err)))
		return
	}
	caller := h.Caller(client.Credential{PAT: pat})
	claimed, err := h.Claims.Fetch(r.Context(), id, caller)
	if err != nil {
		failed := h.failed(r, id, err)
		failed.setHeader(w)
		edge.NoteReason(w, edge.Reason(failed.code), "")
		if failed.final {
			h.logLost(page(r).Notice(w, failed.status, sentence(failed)))
		} else {
			h.logLost(page(r).Form(w, failed.status, sentence(failed)))
		}
		return
	}
	if err := page(r).Token(w, claimed); err != nil || r.Context().Err() != nil {
		h.Claims.TakeBack(r.Context(), id, claimed, caller)
	}
}

// bodyTime is how long the body of a request may take. Anyone can send one.
const bodyTime = 5 * time.Second

// readBody reads a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(bodyTime)) // if it fails, that of net/http holds
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller words it
	}
	_ = controller.SetReadDeadline(time.Time{})
	return content, nil
}

// tokenInForm reads the one field of the form.
func tokenInForm(w http.ResponseWriter, r *http.Request) (client.Secret, error) {
	content, err := readBody(w, r, maxBody)
	if err != nil {
		return client.Secret{}, errors.New("the form could not be read; try again")
	}
	values, err := url.ParseQuery(string(content))
	if err != nil || len(values["token"]) != 1 {
		return client.Secret{}, errors.New("the form could not be read; try again")
	}
	// Pasted text often has a space or a line break at its end.
	return client.ParsePAT(strings.TrimSpace(values["token"][0]))
}

// formReason returns why a form was refused.
func formReason(err error) edge.Reason {
	var form *client.TokenFormError
	if errors.As(err, &form) {
		return edge.Reason(form.Problem)
	}
	return "invalid_request"
}

// failure is the answer to a request for a claim that is not delivered.
type failure struct {
	status     int
	code, text string
	retryAfter time.Duration
	// final means that another try cannot succeed.
	final bool
}

func (f *failure) Error() string { return f.text }

func (f *failure) setHeader(w http.ResponseWriter) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", edge.Seconds(f.retryAfter))
	}
}

func (h *Handler) failed(r *http.Request, id string, err error) *failure {
	var gone *claims.GoneError
	switch {
	case errors.Is(err, claims.ErrNoClaim):
		return h.wrongTry(r, id)
	case errors.As(err, &gone):
		return &failure{status: http.StatusGone, code: "claim_" + string(gone.Reason), text: gone.Error(), final: true}
	case errors.Is(err, client.ErrUnauthenticated):
		return &failure{status: http.StatusUnauthorized, code: "invalid_token",
			text: "kenbun no longer accepts that token: it was revoked or has expired"}
	default:
		h.Logger.Warn("a claim could not be delivered", "claim", id, "cause", err)
		return &failure{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retryAfter: 5 * time.Second,
			text: "the claim cannot be looked up right now. Nothing happened to it; try again in a moment"}
	}
}

// wrongTry answers a caller who has no such claim.
func (h *Handler) wrongTry(r *http.Request, id string) *failure {
	wait, err := h.Claims.WrongTry(r.Context(), id, edge.ClientNetwork(r.Context()))
	switch {
	case err != nil:
		return h.failed(r, id, err)
	case wait > 0:
		h.Metrics.Refused("failures")
		return &failure{status: http.StatusTooManyRequests, code: "too_many_tries", retryAfter: wait,
			text: "there were too many wrong attempts; wait a few minutes, and make sure that you use the token that your assistant uses"}
	default:
		return &failure{status: http.StatusNotFound, code: "no_such_claim", text: claims.ErrNoClaim.Error()}
	}
}

// sentence writes an error as text for a page.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
