package trust

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// CheckEnvironment reports an error if SSL_CERT_FILE or SSL_CERT_DIR names nothing
// that can be read. crypto/x509 would pass over it and trust something else.
func CheckEnvironment() error {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return nil // the variables mean nothing there
	}
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("SSL_CERT_FILE: %w", unreadable(file, err))
		}
		if !bytes.Contains(pem, []byte("-----BEGIN CERTIFICATE-----")) {
			return fmt.Errorf("SSL_CERT_FILE: %s holds no certificate in PEM form", file)
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
