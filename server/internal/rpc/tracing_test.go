package rpc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func newTestTracing(t *testing.T) (*tracing, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.AlwaysSample()))
	return newTracing(provider, "1", []string{"whoami"}), recorder
}

const (
	parentInBody   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	parentInHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

func meta(t *testing.T, pairs ...string) map[string]json.RawMessage {
	t.Helper()
	m := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		text, err := json.Marshal(pairs[i+1])
		if err != nil {
			t.Fatal(err)
		}
		m[pairs[i]] = text
	}
	return m
}

func TestTracing_ParentIsTheClients(t *testing.T) {
	inHeader := http.Header{"Traceparent": {parentInHeader}, "Tracestate": {"h=1", "i=2"}}
	for name, c := range map[string]struct {
		header http.Header
		meta   map[string]json.RawMessage
		parent string
		state  string
	}{
		"none":                       {nil, nil, "", ""},
		"in the header":              {inHeader, nil, parentInHeader, "h=1,i=2"},
		"in the body":                {nil, meta(t, "traceparent", parentInBody, "tracestate", "b=1"), parentInBody, "b=1"},
		"in both, and the body wins": {inHeader, meta(t, "traceparent", parentInBody), parentInBody, ""},
		"a state alone in the body":  {inHeader, meta(t, "tracestate", "b=1"), parentInHeader, "h=1,i=2"},
		"a bad one in the body":      {inHeader, meta(t, "traceparent", "00-xyz"), parentInHeader, "h=1,i=2"},
		"a number in the body":       {inHeader, map[string]json.RawMessage{"traceparent": json.RawMessage(`1`)}, parentInHeader, "h=1,i=2"},
		"two in the header":          {http.Header{"Traceparent": {"00-xyz", parentInHeader}}, nil, "", ""},
		"a token as the state":       {nil, meta(t, "traceparent", parentInBody, "tracestate", "b=KBN_pat_abc"), parentInBody, ""},
		"a long state":               {nil, meta(t, "traceparent", parentInBody, "tracestate", "b="+strings.Repeat("x", 600)), parentInBody, ""},
		"a state that is none":       {nil, meta(t, "traceparent", parentInBody, "tracestate", "b=1\r\nc"), parentInBody, ""},
	} {
		tr, recorder := newTestTracing(t)
		ctx, end := tr.start(t.Context(), c.header, c.meta, "tools/list", "")
		if !trace.SpanFromContext(ctx).IsRecording() {
			t.Errorf("%s: there is no span under the context", name)
		}
		end("")
		span := recorder.Ended()[0]
		parent := ""
		if p := span.Parent(); p.IsValid() {
			parent = "00-" + p.TraceID().String() + "-" + p.SpanID().String() + "-01"
		}
		if parent != c.parent || span.SpanContext().TraceState().String() != c.state || span.SpanKind() != trace.SpanKindServer {
			t.Errorf("%s: the parent is %q with the state %q, want %q with %q", name, parent, span.SpanContext().TraceState(), c.parent, c.state)
		}
	}
}

func TestA4_SpansSayNothingOfTheClients(t *testing.T) {
	const canary = "canary"
	header := http.Header{"Authorization": {canary}, "X-Api-Key": {canary}, "Mcp-Name": {canary}, "Baggage": {"k=" + canary}, "User-Agent": {canary}}
	tr, recorder := newTestTracing(t)
	for _, message := range []string{
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"whoami","arguments":{"a":"canary"},"_meta":{"baggage":"k=canary","canary":"canary"}}}`,
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"canary"}}`, `{"jsonrpc":"2.0","method":"tools/call","params":{"name":{"canary":1}}}`,
		`{"jsonrpc":"2.0","method":"canary"}`, `{"jsonrpc":"2.0","method":"tools/list","params":{"cursor":"canary"}}`,
	} {
		m, bad := Parse([]byte(message))
		if bad != nil {
			t.Fatalf("%s: %v", message, bad)
		}
		_, end := tr.startMessage(t.Context(), header, m)
		end("")
	}
	var names []string
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
		for _, attribute := range span.Attributes() {
			if text := string(attribute.Key) + attribute.Value.String(); strings.Contains(text, canary) {
				t.Errorf("%s has the attribute %s", span.Name(), text)
			}
		}
		if len(span.Events())+len(span.Links()) > 0 || span.SpanContext().TraceState().Len() > 0 {
			t.Errorf("%s has events, links or a state", span.Name())
		}
	}
	want := "tools/call whoami,tools/call other,tools/call other,other,tools/list"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("the spans are %s, want %s", got, want)
	}
}

func TestTracing_OutcomeIsOnTheSpan(t *testing.T) {
	tr, recorder := newTestTracing(t)
	for _, answer := range []mcp.JSONRPCMessage{nil, mcp.JSONRPCResponse{}, ErrorResponse([]byte("1"), mcp.METHOD_NOT_FOUND, "canary")} {
		_, end := tr.start(t.Context(), nil, nil, "tools/call", "whoami")
		end(errorCode(answer))
	}
	for i, want := range []string{"", "", "-32601"} {
		span := recorder.Ended()[i]
		got := ""
		for _, attribute := range span.Attributes() {
			if attribute.Key == attributeErrorType {
				got = attribute.Value.AsString()
			}
		}
		if got != want || (span.Status().Code == codes.Error) != (want != "") || span.Status().Description != "" {
			t.Errorf("span %d: error type %q, status %v", i, got, span.Status())
		}
	}
}

func TestTracing_OffDoesNothing(t *testing.T) {
	tr := newTracing(nil, "1", nil)
	ctx, end := tr.startMessage(t.Context(), http.Header{"Traceparent": {parentInHeader}}, &Message{Method: "ping"})
	end("code")
	if ctx != t.Context() {
		t.Error("the context is another one")
	}
}
