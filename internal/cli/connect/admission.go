package connect

import (
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/trust"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// Requests by default: those of the documentation for a token, and what an
// office behind one address sends.
const (
	defaultTokenRateLimit   = "60/m,1000/d"
	defaultAddressRateLimit = "600/m"
)

// faultFlags inject faults into the embedded API.
type faultFlags struct {
	specs []string
	seed  uint64
}

func (f *faultFlags) add(flags *pflag.FlagSet, prefix string) {
	command.ListVar(flags, &f.specs, prefix+"fault", "faults to inject: 503:10% (also 429, 500, 502, 504), drop-answer:5%, latency:200ms")
	flags.Uint64Var(&f.seed, prefix+"fault-seed", 0, "seed to repeat the same faults (default 0, a new seed each time)")
}

func (f *faultFlags) open(prefix string) (faults.Plan, error) {
	plan, err := faults.Parse(f.specs)
	if err != nil {
		return faults.Plan{}, command.Usagef("--%sfault: %w", prefix, err)
	}
	if f.seed != 0 && len(f.specs) == 0 {
		return faults.Plan{}, command.Usagef("--%[1]sfault-seed needs --%[1]sfault", prefix)
	}
	plan.Seed = f.seed
	return plan, nil
}

// AdmissionFlags are the limits and faults of the embedded API.
type AdmissionFlags struct {
	rateLimit        string
	rateLimitAddress string
	trustedProxies   []string
	faults           faultFlags
}

// Add adds the flags to cmd.
func (f *AdmissionFlags) Add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Limits)()
	flags := cmd.Flags()
	flags.StringVar(&f.rateLimit, "api-rate-limit", defaultTokenRateLimit, "request limits for each token, such as 60/m,1000/d (s, m, h or d), or 0 for no limit")
	flags.StringVar(&f.rateLimitAddress, "api-rate-limit-address", defaultAddressRateLimit, "request limit for each IPv4 address or IPv6 /64 network, or 0 for no limit")
	command.ListVar(flags, &f.trustedProxies, "trusted-proxy", "network of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	f.faults.add(flags, "")
}

// Open puts what the flags say into config.
func (f *AdmissionFlags) Open(config *authority.Config) (err error) {
	if config.RateLimits, err = limits.Parse(f.rateLimit); err != nil {
		return command.Usagef("--api-rate-limit: %w", err)
	}
	ofAddress, err := limits.Parse(f.rateLimitAddress)
	switch {
	case err != nil:
		return command.Usagef("--api-rate-limit-address: %w", err)
	case len(ofAddress) > 1:
		return command.Usagef("--api-rate-limit-address cannot be %q; give one limit, such as 600/m", f.rateLimitAddress)
	case len(ofAddress) == 1:
		config.AddressRateLimit = ofAddress[0]
	}
	if config.TrustedProxies, err = edge.ParseProxies(f.trustedProxies); err != nil {
		return command.Usagef("--trusted-proxy: %w", err)
	}
	config.Faults, err = f.faults.open("")
	return err
}

// embeddedRateLimits reads the limits of an embedded API. By default it has none, as
// they would only slow down its one user.
func embeddedRateLimits(text string) ([]limits.Rate, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	rates, err := limits.Parse(text)
	if err != nil {
		return nil, command.Usagef("--embedded-rate-limit: %w", err)
	}
	return rates, nil
}

// IsLoopback reports whether only this machine can reach an address with a port.
func IsLoopback(address, flag string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, command.BadAddress(flag, address, "127.0.0.1:8765")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return trust.IsLoopback(host), nil
}
