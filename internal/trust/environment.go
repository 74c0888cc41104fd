package trust

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

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
