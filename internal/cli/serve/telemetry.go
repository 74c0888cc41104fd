package serve

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/telemetry"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// How long the last traces may take at the end: after a signal the process has
// to be gone in a second.
const (
	lastTracesTimeout = 3 * time.Second
	lastTracesAtOnce  = 300 * time.Millisecond
)

// watch is what an operator is told of a server: metrics, traces, or neither.
type watch struct {
	metrics *telemetry.Metrics
	traces  *telemetry.Traces
	log     *slog.Logger
}

// newWatch reads from the environment whether traces are wanted. Settings of
// OpenTelemetry that cannot be followed are often meant for other programs, and
// do not keep this one from serving.
func newWatch(ctx context.Context, withMetrics bool, logger *slog.Logger) *watch {
	w := &watch{log: logger}
	if withMetrics {
		w.metrics = NewMetrics()
	}
	traces, err := telemetry.NewTraces(context.WithoutCancel(ctx), telemetry.TracesConfig{Version: command.Version(), Lookup: os.Getenv, Logger: logger})
	if err != nil {
		logger.Warn("no traces are sent", "cause", err)
	}
	w.traces = traces
	return w
}

// NewMetrics knows every tool, whether the operator offers it or not.
func NewMetrics() *telemetry.Metrics {
	config := telemetry.Config{Version: command.Version(), Outcomes: tools.Outcomes()}
	for _, tool := range tools.Tools(toolsets.All()) {
		config.Tools = append(config.Tools, tool.Name)
	}
	for _, operation := range client.Operations() {
		if operation != client.OperationOther {
			config.Operations = append(config.Operations, string(operation))
		}
	}
	return telemetry.NewMetrics(config)
}

// on reports whether anything is told.
func (w *watch) on() bool { return w.metrics != nil || w.traces != nil }

// options have the client tell of its calls.
func (w *watch) options() []client.Option {
	if !w.on() {
		return nil
	}
	options := []client.Option{client.WithObserver(w.upstreamCall)}
	if w.traces != nil {
		options = append(options, client.WithTraceContext(w.traces.TraceContext))
	}
	return options
}

func (w *watch) upstreamCall(ctx context.Context, operation client.Operation) (context.Context, func(client.Observation)) {
	traces := w.traces
	if operation == client.OperationReachable {
		traces = nil // it belongs to no request
	}
	ctx, end := traces.UpstreamCall(ctx, string(operation))
	return ctx, func(seen client.Observation) {
		end(string(seen.Code), seen.Status, seen.Attempts)
		w.metrics.UpstreamCall(string(operation), upstreamOutcome(seen.Code), seen.Attempts, seen.Duration)
	}
}

// upstreamOutcome is the class that a kind of failure belongs to.
func upstreamOutcome(code client.Code) string {
	switch code {
	case "":
		return "ok"
	case client.CodeInvalid, client.CodeUnauthenticated, client.CodeForbidden, client.CodeNotFound, client.CodeTokenLimit:
		return "refused"
	}
	return string(code)
}

// observer is told of tool calls.
func (w *watch) observer() tools.Observer {
	if !w.on() {
		return nil
	}
	return w
}

// ToolCalled implements tools.Observer.
func (w *watch) ToolCalled(ctx context.Context, tool, outcome string, took time.Duration) {
	w.metrics.ToolCall(tool, outcome, took)
	w.traces.ToolOutcome(ctx, outcome, outcome != tools.OutcomeOK && outcome != tools.OutcomeInputRequired)
}

// serverMetrics are told of requests and sessions.
func (w *watch) serverMetrics() server.Metrics {
	if w.metrics == nil {
		return nil
	}
	return w.metrics
}

// connectionRefused is told of connections that were one too many.
func (w *watch) connectionRefused(string) { w.metrics.Refused("connections") }

// claim is told of what happens to claims.
func (w *watch) claim(event claims.Event) { w.metrics.Claim(string(event)) }

// end sends the last traces.
func (w *watch) end(ctx context.Context) {
	limit := lastTracesTimeout
	if ctx.Err() != nil {
		limit = lastTracesAtOnce
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := w.traces.Close(ctx); err != nil {
		w.log.Warn("the last traces are lost", "cause", err)
	}
}

// metricsFlags say where metrics are served.
type metricsFlags struct {
	listen string
}

func (f *metricsFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Logging)()
	cmd.Flags().StringVar(&f.listen, "metrics-listen", "",
		"address and port to serve Prometheus metrics on, at /metrics (default none)")
}

// check returns an error unless the address is one.
func (f *metricsFlags) check() error {
	if f.listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return command.BadAddress("--metrics-listen", f.listen, "127.0.0.1:9090")
	}
	return nil
}

// serve serves metrics until end is called, so that the server can still be observed
// while it shuts down.
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
	cmd.PrintErrf("Serving metrics on http://%s%s\n", listener.Addr(), telemetry.MetricsPath)
	return func() error { stop(); return <-served }, nil
}
