package server_test

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/marks"
	authorities "github.com/kenbun/kenbun-mcp/internal/trust"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

func TestP14_MarksInFilesOfCertificatesAreTrimmed(t *testing.T) {
	certificate := newCertificate(t)
	certs, keys := marks.Around(string(certificate.CertPEM)), marks.Around(string(certificate.KeyPEM))
	for name := range certs {
		dir := t.TempDir()
		files := tlsFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
		files.write(t, []byte(certs[name]), []byte(keys[name]))
		if _, err := edge.LoadCertificate(files.cert, files.key, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		trusted, err := authorities.TLSConfig(files.cert)
		if err != nil {
			t.Errorf("trusted, %s: %v", name, err)
			continue
		}
		block, _ := pem.Decode(certificate.CertPEM)
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: trusted.RootCAs}); err != nil {
			t.Errorf("trusted, %s: %v", name, err)
		}
		if _, err := client.New(client.WithCAFile(files.cert)); err != nil {
			t.Errorf("trusted by the client, %s: %v", name, err)
		}
	}
}
