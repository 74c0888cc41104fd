package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// instrumentation names what makes the spans.
const instrumentation = "github.com/kenbun/kenbun-mcp"

// The attributes of spans. All of their values come out of closed sets.
const (
	attributeErrorType = attribute.Key("error.type")
	attributeStatus    = attribute.Key("http.response.status_code")
	attributeResends   = attribute.Key("http.request.resend_count")
	attributeOperation = attribute.Key("kenbun.operation")
)

// TracesConfig is what [Traces] are made from.
type TracesConfig struct {
	// Version is the program's.
	Version string
	// Lookup returns an environment variable, empty if unset. Those of OpenTelemetry
	// configure traces.
	Lookup func(name string) string
	// Logger logs failures to send traces and ignored settings. Required.
	Logger *slog.Logger
}

// Traces sends spans to a collector, in batches in the background. A nil *Traces makes none.
type Traces struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	client     *otlpClient
	propagator propagation.TraceContext
}

// NewTraces returns nil if the environment asks for no traces, and an error if it asks for
// some that cannot be made. It logs ignored settings. Nothing is sent before there are
// spans.
func NewTraces(ctx context.Context, config TracesConfig) (*Traces, error) {
	settings, err := readOTLPSettings(config.Lookup)
	if err == nil {
		for _, sentence := range unheeded(config.Lookup) {
			config.Logger.Warn("a setting of OpenTelemetry is passed over", "cause", sentence)
		}
	}
	if settings == nil || err != nil {
		return nil, err
	}
	client, err := newOTLPClient(settings, config.Logger)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("prepare the export of traces: %w", err)
	}
	// The client logs the first failure itself.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { config.Logger.Debug("traces", "cause", err) }))
	// What the environment says wins.
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "kenbun-mcp"), attribute.String("service.version", config.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this program to the collector: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return &Traces{
		provider: provider, client: client,
		tracer: provider.Tracer(instrumentation, trace.WithInstrumentationVersion(config.Version)),
	}, nil
}

// Provider is where package server gets its tracer from; nil for no traces.
func (t *Traces) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// ToolOutcome notes on the span of ctx how a tool call ended, if it was not well.
func (t *Traces) ToolOutcome(ctx context.Context, outcome string, failed bool) {
	if t == nil || !failed {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attributeErrorType.String(outcome))
	span.SetStatus(codes.Error, "")
}

// UpstreamCall starts a span for a call of the API. The returned function ends it: failure
// is empty for none, status 0 for no answer, and tries how often the request was sent.
func (t *Traces) UpstreamCall(ctx context.Context, operation string) (context.Context, func(failure string, status, tries int)) {
	if t == nil {
		return ctx, func(string, int, int) {}
	}
	ctx, span := t.tracer.Start(ctx, "kenbun "+operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attributeOperation.String(operation)))
	return ctx, func(failure string, status, tries int) {
		if status > 0 {
			span.SetAttributes(attributeStatus.Int(status))
		}
		if tries > 1 {
			span.SetAttributes(attributeResends.Int(tries - 1))
		}
		if failure != "" {
			span.SetAttributes(attributeErrorType.String(failure))
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// TraceContext returns the header fields traceparent and tracestate for requests under ctx,
// empty without a span.
func (t *Traces) TraceContext(ctx context.Context) (traceparent, tracestate string) {
	if t == nil {
		return "", ""
	}
	carrier := propagation.MapCarrier{}
	t.propagator.Inject(ctx, carrier)
	return carrier["traceparent"], carrier["tracestate"]
}

// Close sends what is left, for as long as ctx allows, and gives up the rest.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	defer t.client.giveUp()
	err := t.provider.Shutdown(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the collector did not take them in time")
	}
	return fmt.Errorf("send the last traces: %w", err)
}
