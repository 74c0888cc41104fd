package serve

import (
	"context"
	"net"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/telemetry"
)

// metricsFlags say where metrics are told.
type metricsFlags struct {
	listen string
}

func (f *metricsFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Logging)()
	cmd.Flags().StringVar(&f.listen, "metrics-listen", "",
		"address and port on which to tell metrics in the format of Prometheus, at /metrics, to whoever asks; it answers under IP addresses, localhost, this name and the names in --allowed-host (default nowhere)")
}

// check refuses what is no address.
func (f *metricsFlags) check() error {
	if f.listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return command.BadAddress("--metrics-listen", f.listen, "127.0.0.1:9090")
	}
	return nil
}

// serve tells metrics until the function that it returns is called, so that the
// end of the server can still be watched.
func (f *metricsFlags) serve(cmd *cobra.Command, w *watch, hosts []string) (end func() error, err error) {
	if f.listen == "" {
		return func() error { return nil }, nil
	}
	listener, err := command.ListenFor(cmd.Context(), f.listen, "--metrics-listen")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(cmd.Context()))
	served := make(chan error, 1)
	handler := w.metrics.Handler(append([]string{f.listen}, hosts...)...)
	go func() { served <- telemetry.Serve(ctx, listener, handler, w.log) }()
	cmd.PrintErrf("Telling metrics on http://%s%s\n", listener.Addr(), telemetry.MetricsPath)
	return func() error { stop(); return <-served }, nil
}
