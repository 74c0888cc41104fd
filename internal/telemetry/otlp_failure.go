package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// sendingError says why spans could not be sent. The library's own words stay out
// of what people read: they hold the collector's address, in which there may be a
// password.
func sendingError(err error) error {
	var network net.Error
	var dial *net.OpError
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var notTLS tls.RecordHeaderError
	why := "it did not answer as expected"
	switch {
	case errors.Is(err, context.Canceled):
		why = "this program ended first"
	case errors.As(err, &unknown):
		why = "its certificate is signed by an authority that is not trusted here; name it in OTEL_EXPORTER_OTLP_CERTIFICATE"
	case errors.As(err, &wrongName):
		why = "its certificate is for another name"
	case errors.As(err, &invalid):
		why = "its certificate is not valid, or not any more"
	case errors.As(err, &notTLS):
		why = "it does not speak TLS; write its address with http://, or have it speak TLS"
	case errors.As(err, &name):
		why = "its name is not known"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		why = "it did not answer in time"
	case errors.As(err, &dial) && dial.Op == "dial":
		why = "no connection could be made"
	}
	return errors.New("the collector cannot be used: " + why)
}
