package telemetry

import (
	"context"
	"errors"

	"github.com/kenbun/kenbun-mcp/internal/netproblem"
)

// sendingError says why spans could not be sent. The library's own words stay out
// of what people read: they hold the collector's address, in which there may be a
// password.
func sendingError(err error) error {
	why := "it did not answer as expected"
	kind, _ := netproblem.Of(err)
	switch {
	case errors.Is(err, context.Canceled):
		why = "this program ended first"
	case kind == netproblem.UnknownCA:
		why = "its certificate is signed by an authority that is not trusted here; name it in OTEL_EXPORTER_OTLP_CERTIFICATE"
	case kind == netproblem.CertificateHost:
		why = "its certificate is for another name"
	case kind == netproblem.CertificateExpired:
		why = "its certificate has expired or is not valid yet"
	case kind == netproblem.NotTLS:
		why = "it does not speak TLS; write its address with http://, or have it speak TLS"
	case kind == netproblem.NoSuchHost:
		why = "its name is not known"
	case kind == netproblem.Timeout:
		why = "it did not answer in time"
	case kind == netproblem.ConnectionRefused, kind == netproblem.Unreachable:
		why = "no connection could be made"
	}
	return errors.New("the collector cannot be used: " + why)
}
