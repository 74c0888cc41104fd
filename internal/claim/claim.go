// Package claim fetches a new token that waits for its user at a kenbun-mcp
// server. The user's own token stays here: package claimkey describes what is
// sent in its place.
package claim

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/trust"
)

const (
	path       = "/claim/"
	maxAnswer  = 64 << 10
	timeout    = 30 * time.Second
	maxMessage = 300

	// codeOutdatedServer is for a server that wants the token itself.
	codeOutdatedServer = "outdated_server"
)

// Request says which claim is fetched, and from where.
type Request struct {
	// Server is the address of the kenbun-mcp server: https, or http on
	// loopback.
	Server string
	// ID is the claim's id.
	ID string
	// PAT is the token with which the new one was made. The proof is derived from
	// it, and it opens what comes back. It is not sent.
	PAT client.Secret
	// CAFile holds further certificate authorities (PEM) to trust. Empty: the
	// system's alone.
	CAFile string
	// UserAgent is sent along. Empty: net/http's.
	UserAgent string
}

// Token is what was claimed.
type Token struct {
	ID     string
	Name   string
	Prefix string
	// CreatedAt is zero if the server does not tell it.
	CreatedAt time.Time
	// ValidFrom is nil for a token that is valid at once.
	ValidFrom *time.Time
	// ExpiresAt is nil for a token that never expires.
	ExpiresAt *time.Time
	// Permissions are what the token is narrowed to, nil if to nothing.
	Permissions []string
	Value       client.Secret
}

// RefusedError is the server's no: there is no such claim for this user, or it
// is gone.
type RefusedError struct {
	// Code is the server's word for it, such as "claim_fetched".
	Code string
	// Reason is a sentence for people. It comes from the server, and is cleaned.
	Reason string
}

func (e *RefusedError) Error() string { return e.Reason }

// ErrInvalidServer is in the chain of the error for an address at which no claim
// is fetched.
var ErrInvalidServer = errors.New("the server's address must begin with https://, or with http:// on loopback, such as https://mcp.example.com, without user name, query or fragment")

// Fetch fetches a claim, which can be done once. It sends the request at most
// once, since a second one would count as somebody else's. Redirects are not
// followed.
//
// Errors are [*RefusedError], ErrInvalidServer, and such that are
// client.ErrUnavailable.
func Fetch(ctx context.Context, request Request) (*Token, error) {
	address, err := parseServer(request.Server)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(request.CAFile)
	if err != nil {
		return nil, err
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
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address.JoinPath(path, request.ID).String(), bytes.NewReader(asked))
	if err != nil {
		return nil, ErrInvalidServer
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if request.UserAgent != "" {
		r.Header.Set("User-Agent", request.UserAgent)
	}
	// The transport alone, without a client: it follows no redirect.
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, unreachable(address.Host, err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	defer clear(body)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s broke off; if the token was in it, it is lost: look at `kenbun-mcp tokens list` and revoke it (%w)", address.Host, client.ErrUnavailable)
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusal(address.Host, response.StatusCode, body)
	}
	return parseToken(address.Host, body, keys)
}

// parseServer reads the address of a server. Its errors never repeat the text,
// which could hold a password.
func parseServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || u.Hostname() == "" {
		return nil, ErrInvalidServer
	}
	if _, ok := claimkey.NormalHost(u.Scheme, u.Host); !ok {
		return nil, ErrInvalidServer
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, ErrInvalidServer
	}
	return u, nil
}

func isLoopback(host string) bool {
	if ascii.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && !addr.Is4In6()
}

func newTransport(caFile string) (*http.Transport, error) {
	trusted, err := trust.TLSConfig(caFile)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		TLSClientConfig:        trusted,
		MaxResponseHeaderBytes: maxAnswer,
		DisableKeepAlives:      true, // one request, and never a second
		ForceAttemptHTTP2:      true,
	}, nil
}

func unreachable(host string, err error) error {
	var certificate *tls.CertificateVerificationError
	var dial *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of %s is not trusted, and nothing was sent: name its authority with --ca-file (%w)", host, client.ErrUnavailable)
	case errors.As(err, &dial) && (dial.Op == "dial" || dial.Op == "proxyconnect"):
		return fmt.Errorf("%s cannot be reached, and nothing was sent: check --server (%w)", host, client.ErrUnavailable)
	default:
		return fmt.Errorf("%s did not answer; if it gave the token out, another try has it revoked, so that nobody else can use it (%w)", host, client.ErrUnavailable)
	}
}

// refusal reads an answer without a token.
func refusal(host string, status int, body []byte) error {
	var problem struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &problem) != nil || problem.Description == "" {
		problem.Code, problem.Description = "", "" // some other server's page
	}
	reason := plaintext.Clean(problem.Description, maxMessage)
	switch {
	case status == http.StatusUnauthorized:
		return &RefusedError{Code: codeOutdatedServer, Reason: fmt.Sprintf("%s wants your token itself, which is not sent. If it is your own server, "+
			"it runs an older kenbun-mcp: have it updated, or open the page of the claim in a browser", host)}
	case status == http.StatusBadRequest && problem.Code == "unsupported_version":
		return &RefusedError{Code: problem.Code, Reason: reason}
	case status == http.StatusNotFound && problem.Code == "":
		return &RefusedError{Reason: fmt.Sprintf("there are no claims at %s: check --server, which is the address of the MCP server without /mcp", host)}
	case status == http.StatusNotFound, status == http.StatusGone, status == http.StatusTooManyRequests, status == http.StatusForbidden:
		if reason == "" {
			reason = fmt.Sprintf("%s refused (status %d)", host, status)
		}
		return &RefusedError{Code: plaintext.Clean(problem.Code, maxMessage), Reason: reason}
	case status >= 300 && status <= 399:
		return fmt.Errorf("%s answers with a redirect, which is not followed: give the server's own address with --server", host)
	case status >= 500:
		return fmt.Errorf("%s cannot give claims out right now; try again in a moment (%w)", host, client.ErrUnavailable)
	default:
		return fmt.Errorf("%s answered with the unexpected status %d: check --server", host, status)
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
