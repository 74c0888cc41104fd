// Package trust says which certificates and connections this program trusts.
package trust

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
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

// CheckEnvironment reports an error if SSL_CERT_FILE or SSL_CERT_DIR names nothing
// that can be read. crypto/x509 would pass over it and trust something else.
func CheckEnvironment() error {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return nil // the variables mean nothing there
	}
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("SSL_CERT_FILE: %w", &unreadableFile{file, err})
		}
		// The file is read by the standard library, which gets it as it is.
		switch read, meant := certificates(content), certificates(settings.PEM(content)); {
		case meant == 0:
			return fmt.Errorf("SSL_CERT_FILE: %s holds no certificate in PEM form", file)
		case read < meant:
			return fmt.Errorf("SSL_CERT_FILE: %s has invisible characters before a certificate, or is in UTF-16, so that only %d of %d certificates can be read. Save it as plain text in UTF-8 without a byte order mark", file, read, meant)
		}
	}
	if folders := os.Getenv("SSL_CERT_DIR"); folders != "" {
		for _, folder := range filepath.SplitList(folders) {
			if _, err := os.ReadDir(folder); err == nil {
				return nil
			}
		}
		return fmt.Errorf("SSL_CERT_DIR names no folder that this process can read")
	}
	return nil
}

// certificates counts the certificates in a PEM file whose first line is where the
// standard library looks for it.
func certificates(content []byte) int {
	return bytes.Count(append([]byte("\n"), content...), []byte("\n-----BEGIN CERTIFICATE-----"))
}

// IsLoopback reports whether connections to host, a name or an address, stay on this
// machine, so that a token may cross them without TLS. IPv4 addresses in IPv6 form
// are not accepted.
func IsLoopback(host string) bool {
	if ascii.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && !addr.Is4In6()
}
