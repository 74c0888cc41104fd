package server

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxClaimBody bounds the body of a request for a claim, in bytes; a token is
// far shorter.
const maxClaimBody = 4 << 10

// maxClaimRequest bounds the request of a program, in bytes.
const maxClaimRequest = 1 << 10

// claimDesk gives new tokens to the users who had them made: on a page, and to
// programs sealed.
type claimDesk struct {
	claims *claims.Claims
	caller func(client.Credential) tools.Caller
	// origin is the server's own, as browsers know it; empty if that is not
	// known.
	origin  string
	limits  *edge.RateLimits
	log     *slog.Logger
	metrics Metrics
	// header says where the token of a request would be.
	header tokenHeader
}

func newClaimDesk(claims *claims.Claims, publicURL string, caller func(client.Credential) tools.Caller, limits *edge.RateLimits, logger *slog.Logger) (*claimDesk, error) {
	desk := &claimDesk{claims: claims, caller: caller, limits: limits, log: logger}
	if publicURL == "" {
		return desk, nil
	}
	u, err := url.Parse(publicURL)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errBadPublicURL
	}
	origin, ok := edge.ParseOrigin(u.Scheme + "://" + u.Host)
	if !ok || (u.Scheme != "https" && (u.Scheme != "http" || !edge.IsLoopbackName(u.Hostname()))) {
		return nil, errBadPublicURL
	}
	desk.origin = origin
	return desk, nil
}

var errBadPublicURL = errors.New("the address under which people reach this server must be https, or http on loopback, such as https://mcp.example.com, without user name, query or fragment")

// before answers requests for claims and leaves all others to next.
func (d *claimDesk) before(next http.Handler) http.Handler {
	desk := d.limits.GuardAddress(http.HandlerFunc(d.answer))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, claims.Path) {
			desk.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *claimDesk) answer(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, claims.Path)
	switch {
	case !claims.IsID(id):
		edge.WriteProblem(w, http.StatusNotFound, "not_found", "that is no claim's address: it ends with an id such as claim_ and 26 capital letters and digits")
	case !d.isOwnPage(r):
		edge.WriteProblem(w, http.StatusForbidden, "forbidden_origin", "claims are fetched from their own page, or by a program that is no browser")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		// Whether the claim is there is told to its owner only.
		d.logLost(page(r).Form(w, http.StatusOK, ""))
	case r.Method == http.MethodPost:
		d.fetch(w, r, id)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		edge.WriteProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "open the page with GET, or fetch the claim with POST")
	}
}

func page(r *http.Request) claims.Page { return claims.Page{Server: r.Host} }

func (d *claimDesk) logLost(err error) {
	if err != nil {
		d.log.Debug("a page could not be shown", "cause", err)
	}
}

// isOwnPage refuses what another site has a browser send. A link from elsewhere
// may lead to the page, but no other site may fill it in or read it.
func (d *claimDesk) isOwnPage(r *http.Request) bool {
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
	return origin == d.origin || sameHost(origin, "http://", r.Host) || sameHost(origin, "https://", r.Host)
}

func sameHost(origin, scheme, host string) bool {
	own, ok := edge.ParseOrigin(scheme + host)
	return ok && own == origin
}

func (d *claimDesk) fetch(w http.ResponseWriter, r *http.Request, id string) {
	if r.Header.Get("Content-Encoding") != "" {
		edge.WriteProblem(w, http.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, without Content-Encoding")
		return
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "application/x-www-form-urlencoded" {
		d.fetchByForm(w, r, id)
		return
	}
	d.fetchByProgram(w, r, id)
}

// fetchByForm answers a person's browser.
func (d *claimDesk) fetchByForm(w http.ResponseWriter, r *http.Request, id string) {
	// Every browser tells where a form comes from (Fetch Standard, "append a
	// request Origin header").
	if len(r.Header.Values("Origin")) == 0 || d.header.isIn(r.Header) {
		edge.WriteProblem(w, http.StatusForbidden, "forbidden_origin",
			"a form is taken from its own page only; a program sends a proof as JSON, and no token")
		return
	}
	pat, err := tokenInForm(w, r)
	if err != nil {
		edge.NoteReason(w, formReason(err), "")
		d.logLost(page(r).Form(w, http.StatusBadRequest, sentence(err)))
		return
	}
	caller := d.caller(client.Credential{PAT: pat})
	claimed, err := d.claims.Fetch(r.Context(), id, caller)
	if err != nil {
		failure := d.failure(r, id, err)
		failure.setHeader(w)
		edge.NoteReason(w, edge.Reason(failure.code), "")
		if failure.final {
			d.logLost(page(r).Notice(w, failure.status, sentence(failure)))
		} else {
			d.logLost(page(r).Form(w, failure.status, sentence(failure)))
		}
		return
	}
	if err := page(r).Token(w, claimed); err != nil || r.Context().Err() != nil {
		d.claims.TakeBack(r.Context(), id, claimed, caller)
	}
}

// claimBodyTime is how long the body of a request for a claim may take. Anyone can
// send one.
const claimBodyTime = 5 * time.Second

// readClaimBody reads a body of at most limit bytes.
func readClaimBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(claimBodyTime)) // without, that of net/http holds
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller words it
	}
	_ = controller.SetReadDeadline(time.Time{})
	return content, nil
}

// tokenInForm reads the one field that there is.
func tokenInForm(w http.ResponseWriter, r *http.Request) (client.Secret, error) {
	content, err := readClaimBody(w, r, maxClaimBody)
	if err != nil {
		return client.Secret{}, errors.New("the form could not be read; try again")
	}
	values, err := url.ParseQuery(string(content))
	if err != nil || len(values["token"]) != 1 {
		return client.Secret{}, errors.New("the form could not be read; try again")
	}
	// What is pasted often brings a space or the end of its line along.
	return client.ParsePAT(strings.TrimSpace(values["token"][0]))
}

// formReason is why a form was not taken.
func formReason(err error) edge.Reason {
	var form *client.TokenFormError
	if errors.As(err, &form) {
		return edge.Reason(form.Problem)
	}
	return "invalid_request"
}

// fetchByProgram answers the command claim, and whoever speaks like it. The
// protocol is described in package claimkey. It has no place for a token, and one
// that comes along is not used.
func (d *claimDesk) fetchByProgram(w http.ResponseWriter, r *http.Request, id string) {
	if d.header.isIn(r.Header) {
		edge.WriteProblem(w, http.StatusForbidden, "outdated_client",
			"this server takes no token for a claim any more, and did not use the one that came: update kenbun-mcp to the version of the server, or open the page of the claim in a browser")
		return
	}
	request, problem := readClaimRequest(w, r)
	if problem != nil {
		edge.WriteProblem(w, problem.status, problem.code, problem.text)
		return
	}
	claimed, err := d.claims.FetchSealed(r.Context(), id, request.Proof, d.ownHosts(r))
	if err != nil {
		failure := d.failure(r, id, err)
		failure.setHeader(w)
		edge.WriteProblem(w, failure.status, failure.code, failure.Error())
		return
	}
	if err := sendClaimed(w, claimkey.Answer{Version: claimkey.Version, Sealed: claimed.Sealed}); err != nil || r.Context().Err() != nil {
		d.claims.TakeBackSealed(r.Context(), id, claimed)
	}
}

// readClaimRequest reads what the command claim sends.
func readClaimRequest(w http.ResponseWriter, r *http.Request) (*claimkey.Request, *claimFailure) {
	invalid := &claimFailure{
		status: http.StatusBadRequest, code: "invalid_request",
		text: "that is no proof for a claim: fetch it with `kenbun-mcp claim`, or open this address in a browser",
	}
	content, err := readClaimBody(w, r, maxClaimRequest)
	if err != nil {
		return nil, invalid
	}
	var request claimkey.Request
	if json.Unmarshal(content, &request) != nil || request.Version < 1 {
		return nil, invalid
	}
	if request.Version != claimkey.Version {
		return nil, &claimFailure{
			status: http.StatusBadRequest, code: "unsupported_version",
			text: fmt.Sprintf("this server speaks version %d of the protocol for claims: use the same version of kenbun-mcp as the server, or open the page of the claim in a browser", claimkey.Version),
		}
	}
	if len(request.Proof) != sha256.Size {
		return nil, invalid
	}
	return &request, nil
}

// ownHosts are the names under which a request may have reached this server: the
// public one, and the one in its Host header, which is on the list of allowed
// hosts. Every port of a loopback name is allowed there. Here it must be the one
// on which this server listens: another port is another program, which could pass
// a proof on.
func (d *claimDesk) ownHosts(r *http.Request) []string {
	var hosts []string
	if scheme, public, ok := strings.Cut(d.origin, "://"); ok {
		if host, ok := claimkey.NormalHost(scheme, public); ok {
			hosts = append(hosts, host)
		}
	}
	called, ok := edge.ParseHost(r.Host)
	if !ok {
		return hosts
	}
	// The command speaks http on loopback only. Elsewhere a proxy may have ended TLS.
	scheme := "https"
	if edge.IsLoopbackName(called.Name) {
		if r.TLS == nil {
			scheme = "http"
		}
		if !isOwnPort(r, cmp.Or(called.Port, claimkey.UsualPort(scheme))) {
			return hosts
		}
	}
	if host, ok := claimkey.NormalHost(scheme, r.Host); ok {
		hosts = append(hosts, host)
	}
	return hosts
}

func isOwnPort(r *http.Request, port string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && port == strconv.Itoa(local.Port)
}

func sendClaimed(w http.ResponseWriter, answer claimkey.Answer) error {
	data, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("write a claimed token: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("send a claimed token: %w", err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return fmt.Errorf("send a claimed token: %w", err)
	}
	return nil
}

// claimFailure is why a claim was not given out, as whoever asked is told.
type claimFailure struct {
	status     int
	code, text string
	retryAfter time.Duration
	// final tells that another try cannot succeed.
	final bool
}

func (f *claimFailure) Error() string { return f.text }

func (f *claimFailure) setHeader(w http.ResponseWriter) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", edge.Seconds(f.retryAfter))
	}
}

func (d *claimDesk) failure(r *http.Request, id string, err error) *claimFailure {
	var gone *claims.GoneError
	switch {
	case errors.Is(err, claims.ErrNoClaim):
		return d.wrongTry(r, id)
	case errors.As(err, &gone):
		return &claimFailure{status: http.StatusGone, code: "claim_" + string(gone.Reason), text: gone.Error(), final: true}
	case errors.Is(err, client.ErrUnauthenticated):
		return &claimFailure{status: http.StatusUnauthorized, code: "invalid_token",
			text: "kenbun does not accept that token any more: it was revoked or has expired"}
	default:
		d.log.Warn("a claim could not be given out", "claim", id, "cause", err)
		return &claimFailure{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retryAfter: 5 * time.Second,
			text: "that cannot be looked up right now, and nothing happened to the claim; try again in a moment"}
	}
}

// wrongTry answers who has no such claim.
func (d *claimDesk) wrongTry(r *http.Request, id string) *claimFailure {
	wait, err := d.claims.WrongTry(r.Context(), id, edge.ClientNetwork(r.Context()))
	switch {
	case err != nil:
		return d.failure(r, id, err)
	case wait > 0:
		d.metrics.Refused("failures")
		return &claimFailure{status: http.StatusTooManyRequests, code: "too_many_tries", retryAfter: wait,
			text: "there were too many wrong tries; wait a few minutes and make sure that it is the token that your assistant uses"}
	default:
		return &claimFailure{status: http.StatusNotFound, code: "no_such_claim", text: claims.ErrNoClaim.Error()}
	}
}

// sentence writes an error as text for a page.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
