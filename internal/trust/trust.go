// Package trust says which certificates this program believes, for connections
// that are not those of package client.
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
		return nil, unreadable(caFile, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("load the system's certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(settings.PEM(pem)) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", caFile)
	}
	config.RootCAs = pool
	return config, nil
}

func unreadable(file string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the file of certificate authorities %s does not exist", file)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the file of certificate authorities %s cannot be read: this process has no right to", file)
	}
	return fmt.Errorf("the file of certificate authorities %s cannot be read: see that it is a file that this process may read", file)
}
