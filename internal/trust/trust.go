// Package trust says which certificates this program trusts.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// TLSConfig trusts the system's certificate authorities and those in caFile
// (PEM), if one is named, from TLS 1.2 on. Nothing turns verification off.
func TLSConfig(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, &unreadableFile{caFile, err}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the certificates of the system cannot be read: %w", err)
	}
	if !pool.AppendCertsFromPEM(settings.PEM(pem)) {
		return nil, fmt.Errorf("the CA file %s holds no certificate; it must be PEM, with lines such as -----BEGIN CERTIFICATE-----", caFile)
	}
	config.RootCAs = pool
	return config, nil
}

// unreadableFile is a file of certificates that cannot be read, in words for the
// user who named it.
type unreadableFile struct {
	name  string
	cause error
}

func (e *unreadableFile) Error() string {
	why := "see that it is a file that this process may read"
	switch {
	case errors.Is(e.cause, fs.ErrNotExist):
		why = "it does not exist"
	case errors.Is(e.cause, fs.ErrPermission):
		why = "this process has no right to"
	}
	return "the CA file " + e.name + " cannot be read: " + why
}

func (e *unreadableFile) Unwrap() error { return e.cause }
