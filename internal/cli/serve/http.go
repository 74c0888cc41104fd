package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/cli/process"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
)

// httpFlags say how the server is reached.
type httpFlags struct {
	listen         string
	identity       string
	keyFile        string
	allowedHosts   []string
	allowedOrigins []string
	tokenHeader    string
	behindProxy    bool
	publicURL      string
	sessionIdle    time.Duration
	drainDelay     time.Duration
	state          stateFlags
	edge           edgeFlags
	metrics        metricsFlags
}

// NewHTTPCommand returns the http command.
func NewHTTPCommand() *cobra.Command {
	var connecting connect.Flags
	var serving servingFlags
	var reaching httpFlags
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Serve many assistants over streamable HTTP",
		Long: `http serves MCP over streamable HTTP, on the path /mcp. Each request carries the
token of its own user, as "Authorization: Bearer" or "X-API-Key". The server has
no token and answers 401 to requests without one.

With --identity server it acts with its own token instead, for its own user. On
loopback, clients send the key of the server as "Authorization: Bearer" or
"X-API-Key". The server creates the key at its first start and keeps it in a
file. On a unix socket in a folder that only you can open, clients need no key.`,
		Example: `  kenbun-mcp http
  kenbun-mcp http --listen 127.0.0.1:9000 --identity server --embedded
  kenbun-mcp http --listen unix:$HOME/.kenbun-mcp/socket --identity server
  kenbun-mcp http --listen 0.0.0.0:8765 --behind-proxy --trusted-proxy 10.0.0.0/8 --public-url https://mcp.example.com
  kenbun-mcp http --listen 0.0.0.0:8765 --tls-cert-file cert.pem --tls-key-file key.pem --public-url https://mcp.example.com:8765`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := serving.logger(cmd)
			if err != nil {
				return err
			}
			process.CollectLess()
			process.LimitMemory(logger)
			return serveHTTP(cmd, &connecting, &serving, &reaching, logger)
		},
	}
	connecting.Add(cmd)
	serving.add(cmd, "info")
	serving.audit.Add(cmd, "standard output")
	reaching.add(cmd)
	return cmd
}

func (f *httpFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.HTTP)()
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8765", "address and port to listen on, or unix:PATH")
	flags.StringVar(&f.identity, "identity", string(server.IdentityCaller), `whose token calls use: "caller", or "server" on loopback or a unix socket only`)
	flags.StringVar(&f.keyFile, "server-key-file", "", "file with the key for --identity server, created if missing (default in your data folder)")
	command.ListVar(flags, &f.allowedHosts, "allowed-host", "host names to accept besides loopback")
	command.ListVar(flags, &f.allowedOrigins, "allowed-origin", "browser origins to accept, such as https://tools.example.com or tauri://localhost")
	flags.StringVar(&f.tokenHeader, "token-header", "", "the only header to read the token or key from (default Authorization or X-API-Key)")
	flags.BoolVar(&f.behindProxy, "behind-proxy", false, "allow plain HTTP beyond loopback, behind a proxy that terminates TLS")
	flags.StringVar(&f.publicURL, "public-url", "", "public address of this server, such as https://mcp.example.com, for its pages")
	flags.DurationVar(&f.sessionIdle, "session-idle", server.DefaultSessionIdle, "how long a session of an older protocol may be idle before it ends")
	flags.DurationVar(&f.drainDelay, "drain-delay", server.DefaultDrainDelay, "how long to keep serving after SIGTERM while /readyz reports draining")
	f.state.add(cmd)
	f.edge.add(cmd)
	f.metrics.add(cmd)
}

func serveHTTP(cmd *cobra.Command, connecting *connect.Flags, serving *servingFlags, reaching *httpFlags, logger *slog.Logger) (err error) {
	loopback, err := reaching.isLocal()
	if err != nil {
		return err
	}
	runsAs := server.Identity(reaching.identity)
	switch {
	case runsAs != server.IdentityCaller && runsAs != server.IdentityServer:
		return command.Usagef(`--identity cannot be %q; use "caller" or "server"`, reaching.identity)
	case !loopback && runsAs == server.IdentityServer:
		return command.Usagef("with --identity server, anyone who reaches this server acts as its user. Listen on loopback, such as 127.0.0.1:8765, or on a unix socket, or use --identity caller")
	case runsAs == server.IdentityServer && !reaching.forOwnUser(loopback):
		return command.Usagef("with --identity server, anyone who reaches this server acts as its user. It cannot be combined with --behind-proxy, --trusted-proxy, --allowed-host or --public-url, which are for servers that others use. Use --identity caller")
	case runsAs == server.IdentityCaller && reaching.keyFile != "":
		return command.Usagef("--server-key-file needs --identity server. With --identity caller, callers send tokens of their own")
	case reaching.isUnix() && reaching.edge.servesTLS():
		return command.Usagef("--tls-cert-file is for TCP. Traffic on a unix socket stays on this machine")
	case !loopback && !reaching.behindProxy && !reaching.edge.servesTLS():
		return command.Usagef("tokens would cross the network unencrypted on %s. Listen on loopback, give a certificate with --tls-cert-file and --tls-key-file, or use --behind-proxy behind a proxy that terminates TLS", reaching.listen)
	}
	if reaching.sessionIdle < time.Second {
		return command.Usagef("--session-idle cannot be %s; use at least 1s", reaching.sessionIdle)
	}
	if reaching.drainDelay < 0 || reaching.drainDelay > time.Minute {
		return command.Usagef("--drain-delay cannot be %s; use 0s to 1m", reaching.drainDelay)
	}
	if err := reaching.metrics.check(); err != nil {
		return err
	}
	serving.watch = newWatch(cmd.Context(), reaching.metrics.listen != "", logger)
	defer serving.watch.end(cmd.Context())
	connecting.Options = serving.watch.options()
	c, err := connecting.Open(context.WithoutCancel(cmd.Context()), logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	auditor, err := serving.audit.Open(c, cmd.OutOrStdout(), logger)
	if err != nil {
		return err
	}

	shared, err := reaching.state.open(cmd.Context(), connecting.CAFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shared.close()) }()
	edge, err := reaching.edge.open(shared.buckets(), logger)
	if err != nil {
		return err
	}
	if reaching.countsTogether(len(edge.proxies)) {
		logger.Warn("all clients count as one address, so one busy client slows down all of them. Name the network of the proxy with --trusted-proxy, or use --behind-proxy on a unix socket")
	}
	callers := identity.RequestCallers()
	forOwnUser := reaching.forOwnUser(loopback)
	if runsAs == server.IdentityServer {
		callers = identity.OwnCallers(c.API, c.Credentials)
		serving.journal.oneUser = true
		serving.road.unusable = []string{roadClaim}
	} else if serving.road.byClaim() {
		if err := shared.deliverByClaim(c.API, reaching.state.claimLifetime, auditor, serving.watch, logger); err != nil {
			return err
		}
	}
	s, err := serving.newServer(c, callers, forOwnUser, runsAs == server.IdentityServer, shared, auditor, logger)
	if err != nil {
		return err
	}
	if runsAs == server.IdentityCaller && serving.road.onThisMachine() {
		logger.Warn("new tokens of all callers reach the user of this machine (--deliver " + serving.road.deliver + "). Use --deliver claim if other users call as well")
	}
	hosts, err := reaching.hosts()
	if err != nil {
		return err
	}
	key, keyFile, err := reaching.key(cmd.Context(), runsAs)
	if err != nil {
		return err
	}
	handler, err := s.HTTPHandler(server.HTTPConfig{
		Identity:       runsAs,
		Key:            key,
		API:            c.API,
		AllowedHosts:   hosts,
		AllowedOrigins: reaching.allowedOrigins,
		TokenHeader:    reaching.tokenHeader,
		Claims:         shared.claims,
		PublicURL:      reaching.publicURL,
		CallerKey:      shared.key.Derive("callers"),
		SessionIdle:    reaching.sessionIdle,
		Limits:         edge.limits,
		TrustedProxies: edge.proxies,
		ProxyOnSocket:  reaching.isUnix() && reaching.behindProxy,
	})
	if err != nil {
		return command.Usagef("%w", err)
	}
	listener, err := reaching.open(cmd.Context(), runsAs)
	if err != nil {
		return err
	}
	if shared.claims != nil {
		shared.claims.ReachedAt(reaching.address(listener, forOwnUser))
	}
	endMetrics, err := reaching.metrics.serve(cmd, serving.watch, hosts)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, endMetrics()) }()
	endSweeping := shared.sweep(cmd.Context())
	defer func() { err = errors.Join(err, endSweeping()) }()
	cmd.PrintErrf("Serving MCP on %s, as %s, for the API at %s\n", reaching.endpoint(listener), actsAs(runsAs), c.API.BaseURL())
	if keyFile != "" {
		cmd.PrintErrf("Clients send the key in %s as \"Authorization: Bearer\"\n", keyFile)
	}
	return s.Serve(cmd.Context(), edge.guard(listener, serving.watch, logger), handler, reaching.drainDelay)
}

// hosts are those allowed and that of the address that people use.
func (f *httpFlags) hosts() ([]string, error) {
	if f.publicURL == "" {
		return f.allowedHosts, nil
	}
	u, err := url.Parse(f.publicURL)
	if err != nil || u.Host == "" {
		return nil, command.Usagef("--public-url is not an address; use one such as https://mcp.example.com")
	}
	return append(slices.Clone(f.allowedHosts), u.Host), nil
}

// address is where people reach the server, empty where only they know.
func (f *httpFlags) address(listener net.Listener, forOwnUser bool) string {
	if forOwnUser && !f.isUnix() {
		return f.edge.scheme() + listener.Addr().String()
	}
	return f.publicURL
}

// forOwnUser tells a server that only its own user can reach from one that
// other people use.
func (f *httpFlags) forOwnUser(loopback bool) bool {
	return loopback && !f.behindProxy && len(f.allowedHosts) == 0 && f.publicURL == "" && len(f.edge.trustedProxies) == 0
}

// key returns the key that clients must send, and where it is kept. There is none
// where callers bring tokens of their own, and on a unix socket.
func (f *httpFlags) key(ctx context.Context, runsAs server.Identity) (_ client.Secret, file string, err error) {
	if f.isUnix() || runsAs != server.IdentityServer {
		return client.Secret{}, "", nil
	}
	if file, err = serverKeyFile(f.keyFile); err != nil {
		return client.Secret{}, "", err
	}
	key, err := OpenServerKey(ctx, file)
	return key, file, err
}

// countsTogether reports whether the clients of a proxy cannot be told apart.
func (f *httpFlags) countsTogether(trusted int) bool {
	if f.isUnix() {
		return !f.behindProxy && f.identity != string(server.IdentityServer)
	}
	return f.behindProxy && trusted == 0
}

func actsAs(runsAs server.Identity) string {
	if runsAs == server.IdentityServer {
		return "its own user"
	}
	return "the user of each request's token"
}
