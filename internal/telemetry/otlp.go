package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kenbun/kenbun-mcp/internal/netproblem"
	"github.com/kenbun/kenbun-mcp/internal/proxy"
	"github.com/kenbun/kenbun-mcp/internal/trust"
)

const (
	otlpTries        = 4
	otlpMinWait      = time.Second
	otlpMaxWait      = 5 * time.Second
	maxOTLPAnswer    = 64 << 10
	protobufMimeType = "application/x-protobuf"
)

// otlpClient sends spans to a collector over OTLP/HTTP. OpenTelemetry's own client links all
// of gRPC into the program: two milliseconds and five megabytes at each start over stdio.
type otlpClient struct {
	settings *otlpSettings
	retrying *retryablehttp.Client
	log      *slog.Logger
	// failing is set from a failure to the next success, so that it is logged once.
	failing atomic.Bool
	// life ends when nothing more is to be sent; giveUp ends it.
	life   context.Context
	giveUp context.CancelFunc
}

func newOTLPClient(settings *otlpSettings, logger *slog.Logger) (*otlpClient, error) {
	if err := proxy.Check(settings.endpoint); err != nil {
		return nil, err
	}
	if settings.endpoint.Scheme == "https" {
		if err := trust.CheckEnvironment(); err != nil {
			return nil, err
		}
	}
	tlsConfig, err := trust.TLSConfig(settings.certificate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", settings.certificateFrom, err)
	}
	life, giveUp := context.WithCancel(context.Background())
	return &otlpClient{
		settings: settings, log: logger, life: life, giveUp: giveUp,
		retrying: &retryablehttp.Client{
			HTTPClient: &http.Client{
				Transport: &http.Transport{
					Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
					MaxIdleConns: 2, IdleConnTimeout: 90 * time.Second,
				},
				Timeout: settings.timeout,
				// The headers may hold a key, which is for this address.
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
			RetryMax: otlpTries - 1, RetryWaitMin: otlpMinWait, RetryWaitMax: otlpMaxWait,
			CheckRetry: retryablehttp.DefaultRetryPolicy, Backoff: retryablehttp.DefaultBackoff,
			ErrorHandler: retryablehttp.PassthroughErrorHandler,
		},
	}, nil
}

// Start implements otlptrace.Client. Connections are made when needed.
func (*otlpClient) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *otlpClient) Stop(context.Context) error {
	c.retrying.HTTPClient.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// What the SDK sends at its end goes on when nobody waits for it any more.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)() //nolint:contextcheck // two contexts end it, this one and that of the call
	err := c.upload(ctx, spans)
	switch {
	case err == nil:
		c.failing.Store(false)
	case c.life.Err() == nil && !c.failing.Swap(true):
		c.log.Warn("traces cannot be sent", "cause", err)
	}
	return err
}

func (c *otlpClient) upload(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire this equals ExportTraceServiceRequest, whose package needs gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode the spans: %w", err)
	}
	if c.settings.gzip {
		if body, err = compress(body); err != nil {
			return err
		}
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.settings.endpoint.String(), body)
	if err != nil {
		return errors.New("the request to the collector could not be built")
	}
	for name, values := range c.settings.header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", protobufMimeType)
	if c.settings.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.retrying.Do(request)
	if err != nil {
		return sendingError(err)
	}
	// The answer says at most how many spans the collector refused.
	_, _ = io.CopyN(io.Discard, response.Body, maxOTLPAnswer)
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("end the request to the collector: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the collector answered with status %d", response.StatusCode)
	}
	return nil
}

func compress(body []byte) ([]byte, error) {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress the spans: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress the spans: %w", err)
	}
	return compressed.Bytes(), nil
}

// sendingError says why spans could not be sent, without the library's own words: they hold
// the collector's address, which may contain a password.
func sendingError(err error) error {
	kind, _ := netproblem.Of(err)
	why, known := sendingProblems[kind]
	switch {
	case errors.Is(err, context.Canceled):
		why = "this program ended first"
	case !known:
		why = "it did not answer as expected"
	}
	return errors.New("the collector cannot be used: " + why)
}

var sendingProblems = map[netproblem.Kind]string{
	netproblem.UnknownCA:          "its certificate is signed by an authority that is not trusted here; name it in OTEL_EXPORTER_OTLP_CERTIFICATE",
	netproblem.CertificateHost:    "its certificate is for another name",
	netproblem.CertificateExpired: "its certificate has expired or is not valid yet",
	netproblem.NotTLS:             "it does not speak TLS; write its address with http://, or have it speak TLS",
	netproblem.NoSuchHost:         "its name is not known",
	netproblem.Timeout:            "it did not answer in time",
	netproblem.ConnectionRefused:  "no connection could be made",
	netproblem.Unreachable:        "no connection could be made",
}
