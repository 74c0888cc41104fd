package rpc

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// The attributes of a request's span (OpenTelemetry, semantic conventions for MCP).
// Their values come from closed sets, never from arguments, headers or names that a
// client made up.
const (
	attributeMethod    = attribute.Key("mcp.method.name")
	attributeTool      = attribute.Key("gen_ai.tool.name")
	attributeErrorType = attribute.Key("error.type")
)

// OtherName stands for all methods, tools and paths that this server does not have.
const OtherName = "other"

// knownMethods are the methods with a name of their own in traces and logs.
var knownMethods = []string{
	string(mcp.MethodInitialize), string(mcp.MethodPing), string(mcp.MethodToolsList), string(mcp.MethodToolsCall),
	string(mcp.MethodServerDiscover), string(mcp.MethodSubscriptionsListen), string(mcp.MethodSetLogLevel),
	"notifications/initialized", string(mcp.MethodNotificationCancelled),
}

// maxTraceState is how many bytes of a tracestate must be passed on at least
// (W3C Trace Context, section 3.3.1.5); longer ones are not.
const maxTraceState = 512

// tracing opens a span for each message. The zero value opens none.
type tracing struct {
	tracer trace.Tracer
	tools  []string
}

func newTracing(provider trace.TracerProvider, version string, tools []string) *tracing {
	if provider == nil {
		return &tracing{}
	}
	return &tracing{
		tracer: provider.Tracer("github.com/kenbun/kenbun-mcp/server", trace.WithInstrumentationVersion(version)),
		tools:  tools,
	}
}

// start opens the span of a message, as a child of the span that the client named
// in params._meta or else in the header, which may be nil. tool is the name in a
// tool call. The function returned ends the span. It takes the code of the error
// that the message was answered with, empty if there was none. The outcome of a
// tool call is set elsewhere.
func (t *tracing) start(ctx context.Context, header http.Header, meta map[string]json.RawMessage, method, tool string) (_ context.Context, end func(code string)) {
	if t.tracer == nil {
		return ctx, func(string) {}
	}
	name, attributes := OtherName, []attribute.KeyValue{attributeMethod.String(OtherName)}
	if slices.Contains(knownMethods, method) {
		name, attributes[0] = method, attributeMethod.String(method)
	}
	if method == string(mcp.MethodToolsCall) {
		if !slices.Contains(t.tools, tool) {
			tool = OtherName
		}
		name += " " + tool
		attributes = append(attributes, attributeTool.String(tool))
	}
	ctx = withRemoteParent(ctx, header, meta)
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	return ctx, func(code string) {
		if code != "" {
			span.SetAttributes(attributeErrorType.String(code))
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// startMessage is start for a parsed message.
func (t *tracing) startMessage(ctx context.Context, header http.Header, m *Message) (_ context.Context, end func(code string)) {
	if t.tracer == nil {
		return ctx, func(string) {}
	}
	return t.start(ctx, header, m.Meta, m.Method, m.Name)
}

// withRemoteParent returns ctx with the client's span as the parent of the next
// one.
func withRemoteParent(ctx context.Context, header http.Header, meta map[string]json.RawMessage) context.Context {
	for _, carrier := range []propagation.MapCarrier{carrierOfMeta(meta), carrierOfHeader(header)} {
		if !mayBePassedOn(carrier["tracestate"]) {
			delete(carrier, "tracestate")
		}
		with := propagation.TraceContext{}.Extract(ctx, carrier)
		if trace.SpanContextFromContext(with).IsRemote() {
			return with
		}
	}
	return ctx
}

func carrierOfMeta(meta map[string]json.RawMessage) propagation.MapCarrier {
	carrier := propagation.MapCarrier{}
	for _, key := range []string{"traceparent", "tracestate"} {
		var text string
		if json.Unmarshal(meta[key], &text) == nil {
			carrier[key] = text
		}
	}
	return carrier
}

func carrierOfHeader(header http.Header) propagation.MapCarrier {
	return propagation.MapCarrier{
		"traceparent": header.Get("Traceparent"),
		"tracestate":  strings.Join(header.Values("Tracestate"), ","),
	}
}

// mayBePassedOn keeps tokens out of the collector and the API: users paste them
// everywhere.
func mayBePassedOn(state string) bool {
	lowered := strings.ToLower(state)
	return len(state) <= maxTraceState && !slices.ContainsFunc(redact.Literals(), func(literal string) bool {
		return strings.Contains(lowered, literal)
	})
}

// errorCode is the code of an answer that is a JSON-RPC error, empty for others.
func errorCode(answer mcp.JSONRPCMessage) string {
	if e, ok := answer.(mcp.JSONRPCError); ok {
		return strconv.Itoa(e.Error.Code)
	}
	return ""
}
