package serve

import (
	"log/slog"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// Requests a minute by default: more than an assistant needs, and an office
// behind one address.
const (
	defaultRateLimit        = 600
	defaultRateLimitAddress = 3000
)

// edgeFlags say who is let through to a server over HTTP, how often and how
// encrypted.
type edgeFlags struct {
	rateLimit        int
	rateLimitAddress int
	trustedProxies   []string
	tlsCertFile      string
	tlsKeyFile       string
}

func (f *edgeFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.HTTP)()
	flags := cmd.Flags()
	command.ListVar(flags, &f.trustedProxies, "trusted-proxy", "network of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	flags.StringVar(&f.tlsCertFile, "tls-cert-file", "", "file with the TLS certificate and its chain (PEM), re-read when it changes")
	flags.StringVar(&f.tlsKeyFile, "tls-key-file", "", "file with the private key of --tls-cert-file (PEM)")
	defer command.Settings(flags, command.Limits)()
	flags.IntVar(&f.rateLimit, "rate-limit", defaultRateLimit, "requests a minute for each user, or 0 for no limit")
	flags.IntVar(&f.rateLimitAddress, "rate-limit-address", defaultRateLimitAddress, "requests a minute for each IPv4 address or IPv6 /64 network, or 0 for no limit")
}

// openedEdge is what the flags say.
type openedEdge struct {
	limits  edge.Limits
	proxies []netip.Prefix
	// certificate is nil where TLS is not served here.
	certificate *edge.CertificateFiles
}

// open reads the flags and the files that they name. store holds what replicas
// share, nil if there is none.
func (f *edgeFlags) open(store ratelimit.Store, logger *slog.Logger) (*openedEdge, error) {
	proxies, err := edge.ParseProxies(f.trustedProxies)
	switch {
	case err != nil:
		return nil, command.Usagef("--trusted-proxy: %w", err)
	case f.rateLimit < 0 || f.rateLimitAddress < 0:
		return nil, command.Usagef("--rate-limit and --rate-limit-address are requests a minute, or 0 for any number")
	case (f.tlsCertFile == "") != (f.tlsKeyFile == ""):
		return nil, command.Usagef("TLS needs both --tls-cert-file and --tls-key-file")
	}
	e := &openedEdge{
		limits:  edge.Limits{PerUser: f.rateLimit, PerAddress: f.rateLimitAddress, Store: store},
		proxies: proxies,
	}
	if f.servesTLS() {
		if e.certificate, err = edge.LoadCertificate(f.tlsCertFile, f.tlsKeyFile, logger); err != nil {
			return nil, command.Usagef("--tls-cert-file and --tls-key-file: %w", err)
		}
	}
	return e, nil
}

func (f *edgeFlags) servesTLS() bool { return f.tlsCertFile != "" && f.tlsKeyFile != "" }

// scheme is that of the server's own address.
func (f *edgeFlags) scheme() string {
	if f.servesTLS() {
		return "https://"
	}
	return "http://"
}

// guard puts the bounds on connections, and TLS, around listener.
func (e *openedEdge) guard(listener net.Listener, w *watch, logger *slog.Logger) net.Listener {
	listener = edge.LimitConnections(listener, edge.ConnectionLimits{Proxies: e.proxies, Logger: logger, Refused: w.connectionRefused})
	if e.certificate == nil {
		return listener
	}
	return e.certificate.Listener(listener)
}
