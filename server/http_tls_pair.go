package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// maxKeyFile bounds the file of a private key, in bytes.
const maxKeyFile = 1 << 20

// pair is the content of a certificate's file and of its key's.
type pair struct{ cert, key []byte }

var errEnded = errors.New("the TLS certificate has ended: put a newer one in its place")

func hasEnded(certificate *tls.Certificate, now time.Time) bool {
	return now.After(certificate.Leaf.NotAfter)
}

// readPEM words what is wrong with a file that cannot be read.
func readPEM(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	return settings.PEM(content), pemFileError(file, err)
}

// readKeyPEM is readPEM for a private key, which other users must not be able to
// read or write.
func readKeyPEM(file string) ([]byte, error) {
	content, err := privatefile.ReadSecret(file, maxKeyFile)
	return settings.PEM(content), pemFileError(file, err)
}

func pemFileError(file string, err error) error {
	var unsafeFile *privatefile.UnsafeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unsafeFile):
		return fmt.Errorf("the TLS private key cannot be used: %w", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", file)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read: this process has no right to", file)
	default:
		return fmt.Errorf("%s cannot be read: see that it is a plain file", file)
	}
}

func parsePair(p pair) (*tls.Certificate, error) {
	certificate, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, errors.New("the TLS certificate and its key cannot be used together: " + p.problem())
	}
	return &certificate, nil
}

// problem says what is wrong with a pair that cannot be used, and holds nothing
// of it.
func (p pair) problem() string {
	certificate := firstBlock(p.cert, "CERTIFICATE")
	key := firstBlock(p.key, "PRIVATE KEY")
	switch {
	case certificate == nil && firstBlock(p.cert, "PRIVATE KEY") != nil:
		return "there is a key in the file of the certificate; the two may have been exchanged"
	case certificate == nil:
		return "the file of the certificate holds none in PEM, with lines such as -----BEGIN CERTIFICATE-----; it may still be being written"
	case key == nil:
		return "the file of the key holds none in PEM, with lines such as -----BEGIN PRIVATE KEY-----; it may still be being written"
	case key.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(key.Headers["Proc-Type"], "ENCRYPTED"):
		return "the key is under a passphrase; write it to the file without one, as openssl pkey does"
	}
	if _, err := x509.ParseCertificate(certificate.Bytes); err != nil {
		return "the certificate is damaged"
	}
	if !isPrivateKey(key.Bytes) {
		return "the key is damaged, or of a kind that TLS does not use"
	}
	return "the key is not that of the first certificate in the file; put the server's own first, and those that signed it after it"
}

// firstBlock returns the first block of PEM whose type ends with kind.
func firstBlock(text []byte, kind string) *pem.Block {
	for {
		block, rest := pem.Decode(text)
		if block == nil || strings.HasSuffix(block.Type, kind) {
			return block
		}
		text = rest
	}
}

func isPrivateKey(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, ec := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || ec == nil
}
