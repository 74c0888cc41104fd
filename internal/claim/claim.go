// Package claim fetches a new token from a kenbun-mcp server, without sending the user's own
// token (see package claimkey).
package claim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/intermediary"
	"github.com/kenbun/kenbun-mcp/internal/netproblem"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/proxy"
	"github.com/kenbun/kenbun-mcp/internal/redact"
	"github.com/kenbun/kenbun-mcp/internal/trust"
)

const (
	path       = "/claim/"
	maxAnswer  = 64 << 10
	timeout    = 30 * time.Second
	maxMessage = 300

	// codeOutdatedServer is for a server that asks for the token itself.
	codeOutdatedServer = "outdated_server"
)

// Request describes the claim to fetch.
type Request struct {
	// Server is the address of the kenbun-mcp server: https, or http on loopback.
	Server string
	// ID is the claim's id.
	ID string
	// PAT is the token with which the new one was made. It is not sent: it makes the proof
	// and opens the answer.
	PAT client.Secret
	// CAFile holds further certificate authorities (PEM) to trust. It may be empty.
	CAFile string
	// UserAgent is the header's value. Empty: net/http's.
	UserAgent string
}

// Token is what was claimed.
type Token struct {
	ID     string
	Name   string
	Prefix string
	// CreatedAt is zero if the server does not send it.
	CreatedAt time.Time
	// ValidFrom is nil for a token that is valid at once.
	ValidFrom *time.Time
	// ExpiresAt is nil for a token that never expires.
	ExpiresAt *time.Time
	// Permissions are nil if the token is not narrowed.
	Permissions []string
	Value       client.Secret
}

// RefusedError is the server's refusal: the user has no such claim, or it is gone.
type RefusedError struct {
	// Code is the server's code, such as "claim_fetched".
	Code string
	// Reason is a sentence from the server, cleaned.
	Reason string
}

func (e *RefusedError) Error() string { return e.Reason }

// SettingError is an invalid setting: the certificate authorities or a proxy. Nothing was sent.
type SettingError struct{ err error }

func (e *SettingError) Error() string { return e.err.Error() }

// Unwrap returns the error underneath.
func (e *SettingError) Unwrap() error { return e.err }

// ErrInvalidServer indicates an address at which no claim can be fetched.
var ErrInvalidServer = errors.New("the server's address must begin with https://, or with http:// on loopback, such as https://mcp.example.com, without user name, query or fragment")

// Fetch fetches a claim, which can be done once. It sends at most one request, since a second
// one counts as somebody else's, and follows no redirects.
//
// Errors are [*RefusedError], [*SettingError], ErrInvalidServer, client.ErrUnavailable, and
// client.ErrIntermediary if something in between answered.
func Fetch(ctx context.Context, request Request) (*Token, error) {
	address, err := parseServer(request.Server)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(address, request.CAFile)
	if err != nil {
		return nil, &SettingError{err}
	}
	defer transport.CloseIdleConnections()
	keys, err := claimkey.Derive(request.PAT, request.ID)
	if err != nil {
		return nil, err
	}
	host, _ := claimkey.NormalHost(address.Scheme, address.Host) // parseServer has seen to it
	asked, err := json.Marshal(claimkey.Request{Version: claimkey.Version, Proof: claimkey.Prove(keys.Proof, request.ID, host)})
	if err != nil {
		return nil, fmt.Errorf("write the proof for a claim: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address.JoinPath(path, request.ID).String(), bytes.NewReader(asked))
	if err != nil {
		return nil, ErrInvalidServer
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if request.UserAgent != "" {
		r.Header.Set("User-Agent", request.UserAgent)
	}
	// A transport follows no redirects.
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, unreachable(address.Host, err, sent.Load())
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	defer clear(body)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s broke off; if the token was in it, it is lost: look at `kenbun-mcp tokens list` and revoke it (%w)", address.Host, client.ErrUnavailable)
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusal(address.Host, response, body)
	}
	if mediaType, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return nil, inBetween(address.Host, response, body)
	}
	return parseToken(address.Host, body, keys)
}

// parseServer reads a server's address. Its errors do not repeat it, since it may hold a
// password.
func parseServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || u.Hostname() == "" {
		return nil, ErrInvalidServer
	}
	if _, ok := claimkey.NormalHost(u.Scheme, u.Host); !ok {
		return nil, ErrInvalidServer
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !trust.IsLoopback(u.Hostname())) {
		return nil, ErrInvalidServer
	}
	return u, nil
}

func newTransport(server *url.URL, caFile string) (*http.Transport, error) {
	if err := proxy.Check(server); err != nil {
		return nil, err
	}
	if server.Scheme == "https" {
		if err := trust.CheckEnvironment(); err != nil {
			return nil, err
		}
	}
	trusted, err := trust.TLSConfig(caFile)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxy.CheckAnswer,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		TLSClientConfig:        trusted,
		MaxResponseHeaderBytes: maxAnswer,
		DisableKeepAlives:      true, // one request, and never a second
		ForceAttemptHTTP2:      true,
	}, nil
}

// unreachable explains a missing answer. sent means that the request may have arrived.
func unreachable(host string, err error, sent bool) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if sent {
		return fmt.Errorf("%s did not answer; %s (%w)", host, anotherTry, client.ErrUnavailable)
	}
	kind, detail := netproblem.Of(err)
	advice := "check --server"
	switch kind {
	case netproblem.ProxyLogin:
		advice = "put user and password into HTTPS_PROXY"
	case netproblem.ProxyRefused:
		advice = "check HTTPS_PROXY, or let NO_PROXY name the host"
	case netproblem.ProxyUnreachable:
		advice = "check HTTPS_PROXY"
	case netproblem.UnknownCA:
		advice = "name its authority with --ca-file"
	}
	return fmt.Errorf("%s, and nothing was sent: %s (%w)", kind.Describe(host, detail), advice, client.ErrUnavailable)
}

// anotherTry is the advice if the server may have delivered the token.
const anotherTry = "if it gave the token out, another try has it revoked, so that nobody else can use it"

// problem is the refusal of a kenbun-mcp server.
type problem struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Reason      string `json:"reason"`
}

// parseProblem reads a refusal. It reports false for an answer that is not kenbun-mcp's.
func parseProblem(response *http.Response, body []byte) (problem, bool) {
	var p problem
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if mediaType != "application/json" || intermediary.Signed(response.StatusCode, response.Header) ||
		json.Unmarshal(body, &p) != nil || p.Code == "" || p.Description == "" {
		return problem{}, false
	}
	p.Code, p.Description = plaintext.Clean(p.Code, maxMessage), plaintext.Clean(p.Description, maxMessage)
	return p, true
}

// refusal turns an answer without a token into an error.
func refusal(host string, response *http.Response, body []byte) error {
	status := response.StatusCode
	said, own := parseProblem(response, body)
	switch {
	case status >= 300 && status <= 399:
		return fmt.Errorf("%s answers with a redirect, which is not followed: give the server's own address with --server, and check that no sign-in page of the network stands in between (%w)", host, client.ErrIntermediary)
	case !own:
		return inBetween(host, response, body)
	case status == http.StatusUnauthorized && (said.Reason == "missing_key" || said.Reason == "wrong_key"),
		status == http.StatusNotFound && said.Code == "not_found":
		return &RefusedError{Code: said.Code, Reason: fmt.Sprintf("there are no claims at %s: check --server, which is the address of the MCP server without /mcp", host)}
	case status == http.StatusUnauthorized:
		return &RefusedError{Code: codeOutdatedServer, Reason: fmt.Sprintf("%s wants your token itself, which is not sent. If it is your own server, "+
			"it runs an older kenbun-mcp: have it updated, or open the page of the claim in a browser", host)}
	case status == http.StatusBadRequest && said.Code == "unsupported_version",
		status == http.StatusNotFound, status == http.StatusGone, status == http.StatusTooManyRequests, status == http.StatusForbidden:
		return &RefusedError{Code: said.Code, Reason: said.Description}
	case status >= 500:
		return fmt.Errorf("%s cannot give claims out right now; try again in a moment (%w)", host, client.ErrUnavailable)
	default:
		return fmt.Errorf("%s answered with the unexpected status %d: check --server", host, status)
	}
}

// inBetween explains an answer that is not kenbun-mcp's.
func inBetween(host string, response *http.Response, body []byte) error {
	says := ""
	if text := plaintext.Clean(redact.Whole(intermediary.Describe(response.Header, body, "")), maxMessage); text != "" {
		says = fmt.Sprintf("; what answered says of itself: %q", text)
	}
	switch status := response.StatusCode; {
	case status >= 500 && status != http.StatusNetworkAuthenticationRequired:
		return fmt.Errorf("something in front of %s failed, or cannot reach it (status %d)%s; try again in a moment: %s (%w)", host, status, says, anotherTry, client.ErrUnavailable)
	case status >= 200 && status <= 299:
		return fmt.Errorf("what answers at %s is not a kenbun-mcp server, or a sign-in page of the network answered in its place (status %d)%s; check --server and the network; %s (%w)", host, status, says, anotherTry, client.ErrIntermediary)
	default:
		return fmt.Errorf("what answers at %s is not a kenbun-mcp server, or something in between refused the request, such as a proxy, firewall or gateway (status %d)%s; check --server, which is the address of the MCP server without /mcp, and the network. Neither the claim nor your token is the reason (%w)", host, status, says, client.ErrIntermediary)
	}
}

// parseToken opens a token that was sealed for keys.
func parseToken(host string, body []byte, keys *claimkey.Keys) (*Token, error) {
	var answer claimkey.Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer of %s cannot be read: check --server", host)
	}
	if answer.Version != claimkey.Version {
		return nil, fmt.Errorf("%s speaks another version of the protocol for claims: use the same version of kenbun-mcp here and there", host)
	}
	payload, err := keys.Open(answer.Sealed)
	if err != nil {
		return nil, fmt.Errorf("what %s answered was not sealed for your token, or was altered: it is not the server that made the claim", host)
	}
	value, err := client.ParsePAT(payload.Token)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s holds no token: check --server", host)
	}
	return &Token{
		ID: payload.ID, Name: payload.Name, Prefix: value.Prefix(), CreatedAt: payload.CreatedAt,
		ValidFrom: payload.ValidFrom, ExpiresAt: payload.ExpiresAt, Permissions: payload.Permissions, Value: value,
	}, nil
}
