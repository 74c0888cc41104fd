package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/internal/unixsocket"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// socket returns the path in --listen unix:PATH.
func (f *httpFlags) socket() (path string, ok bool) { return strings.CutPrefix(f.listen, "unix:") }

func (f *httpFlags) isUnix() bool {
	_, ok := f.socket()
	return ok
}

// isLocal reports whether only this machine can reach the address in --listen.
func (f *httpFlags) isLocal() (bool, error) {
	if path, isUnix := f.socket(); isUnix {
		if path == "" {
			return false, command.BadAddress("--listen", f.listen, "unix:/run/kenbun-mcp/socket")
		}
		return true, nil
	}
	return connect.IsLoopback(f.listen, "--listen")
}

// open listens where --listen says. Without tokens of callers, only the server's
// own user may connect to a unix socket.
func (f *httpFlags) open(ctx context.Context, identity server.Identity) (net.Listener, error) {
	path, isUnix := f.socket()
	if !isUnix {
		return command.ListenFor(ctx, f.listen, "--listen")
	}
	access := unixsocket.Group
	if identity == server.IdentityServer {
		access = unixsocket.OwnUser
	}
	listener, err := unixsocket.Listen(ctx, path, access)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", f.listen, err)
	}
	return listener, nil
}

// endpoint is where the server serves, for people to read.
func (f *httpFlags) endpoint(listener net.Listener) string {
	if f.isUnix() {
		return fmt.Sprintf("unix:%s, path %s", listener.Addr(), server.MCPPath)
	}
	return f.edge.scheme() + listener.Addr().String() + server.MCPPath
}

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

// serverKeyForm is the form of keys: rand.Text gives 130 random bits.
// It is compiled at its first use, as it costs every start two milliseconds.
var serverKeyForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^kms_[0-9A-Za-z_-]{22,200}$`) })

// serverKeyFile returns the path of the server's key: the one named, or that in
// the user's data folder.
func serverKeyFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	path, err := command.DataFolder("server.key")
	if err != nil {
		return "", fmt.Errorf("the server's key has no folder: %w, or name a file with --server-key-file", err)
	}
	return path, nil
}

// OpenServerKey reads the key of a server that acts with its own token, and makes
// one if there is none.
func OpenServerKey(ctx context.Context, path string) (_ client.Secret, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the server's key in %s: %w", path, err)
		}
	}()
	file, err := privatefile.Open(path, privatefile.Options{MaxSize: 4 << 10, MakeFolder: true})
	if err != nil {
		return client.Secret{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !file.Exists() {
		locking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		// Another server may be making one at the same moment.
		if err := file.Lock(locking); err != nil {
			return client.Secret{}, err
		}
	}
	if !file.Exists() {
		if err := file.Replace([]byte("kms_" + rand.Text() + "\n")); err != nil {
			return client.Secret{}, err
		}
	}
	key, err := settings.Value(file.Content())
	if err != nil || !serverKeyForm().MatchString(key) {
		return client.Secret{}, errors.New("the file holds something else: remove it, and a new key is made")
	}
	return client.NewSecret(key), nil
}
