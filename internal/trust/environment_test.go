package trust

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestP20_CertificatesThatCannotBeReadAreRefusedByName(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return // the variables mean nothing there
	}
	folder := t.TempDir()
	for name, content := range map[string]string{"good": "-----BEGIN CERTIFICATE-----\n", "empty": "", "key": "-----BEGIN PRIVATE KEY-----\n",
		"marked": "\uFEFF-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n", "indented": "  -----BEGIN CERTIFICATE-----\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ variable, value, names string }{
		{"SSL_CERT_FILE", "", ""}, {"SSL_CERT_FILE", filepath.Join(folder, "good"), ""},
		{"SSL_CERT_FILE", filepath.Join(folder, "none"), "SSL_CERT_FILE: "}, {"SSL_CERT_FILE", folder, "SSL_CERT_FILE: "},
		{"SSL_CERT_FILE", filepath.Join(folder, "empty"), "SSL_CERT_FILE: "}, {"SSL_CERT_FILE", filepath.Join(folder, "key"), "SSL_CERT_FILE: "},
		{"SSL_CERT_FILE", filepath.Join(folder, "marked"), "SSL_CERT_FILE: "}, {"SSL_CERT_FILE", filepath.Join(folder, "indented"), "SSL_CERT_FILE: "},
		{"SSL_CERT_DIR", filepath.Join(folder, "none") + ":" + folder, ""}, {"SSL_CERT_DIR", filepath.Join(folder, "none"), "SSL_CERT_DIR "},
	} {
		t.Setenv("SSL_CERT_FILE", "")
		t.Setenv("SSL_CERT_DIR", "")
		t.Setenv(tc.variable, tc.value)
		if err := CheckEnvironment(); tc.names == "" && err != nil || tc.names != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.names)) {
			t.Errorf("%s=%s: %v", tc.variable, tc.value, err)
		}
	}
}
