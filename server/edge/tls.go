package edge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// certificateFreshness is how long the files are not looked at again.
const certificateFreshness = time.Second

// CertificateFiles are a certificate and its private key in files that may be
// replaced while the server runs, such as when the certificate is renewed.
type CertificateFiles struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	current *tls.Certificate
	// seen is what the files held when they were last looked at, usable or not.
	seen pair
	// warned is set once the log says that the current one has expired.
	warned bool
}

// LoadCertificate reads a certificate with its chain, and its private key, both
// in PEM.
func LoadCertificate(certFile, keyFile string, logger *slog.Logger) (*CertificateFiles, error) {
	files := &CertificateFiles{certFile: certFile, keyFile: keyFile, log: logger, looked: time.Now()}
	read, err := files.read()
	if err != nil {
		return nil, err
	}
	certificate, err := parsePair(read)
	if err != nil {
		return nil, err
	}
	files.current, files.seen = certificate, read
	files.warnOfExpiry(files.looked)
	return files, nil
}

// TLSConfig returns the configuration of a server with this certificate: TLS 1.2
// or newer, for HTTP/2 and HTTP/1.1.
func (c *CertificateFiles) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.certificate(), nil },
	}
}

// Listener returns listener with TLS under this certificate.
func (c *CertificateFiles) Listener(listener net.Listener) net.Listener {
	return tls.NewListener(listener, c.TLSConfig())
}

// certificate returns the certificate as it is in the files now, reading them once
// a second at most. If they hold none that can be used, the one before stays.
func (c *CertificateFiles) certificate() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < certificateFreshness {
		return c.current
	}
	c.looked = now
	read, err := c.read()
	if bytes.Equal(read.cert, c.seen.cert) && bytes.Equal(read.key, c.seen.key) {
		c.warnOfExpiry(now)
		return c.current
	}
	c.seen = read
	var certificate *tls.Certificate
	if err == nil {
		certificate, err = parsePair(read)
	}
	if err == nil && hasExpired(certificate, now) && !hasExpired(c.current, now) {
		err = errExpired
	}
	if err != nil {
		// Of a pair that is being replaced one file comes first: the next look sees
		// both.
		c.log.Warn("the new TLS certificate cannot be used; the previous one stays in use", "cause", err)
		return c.current
	}
	c.current, c.warned = certificate, false
	c.log.Info("a new TLS certificate is in use")
	c.warnOfExpiry(now)
	return c.current
}

// read returns what the files hold; nothing for one that cannot be read.
func (c *CertificateFiles) read() (pair, error) {
	cert, certErr := readPEM(c.certFile)
	key, keyErr := readKeyPEM(c.keyFile)
	return pair{cert, key}, errors.Join(certErr, keyErr)
}

// warnOfExpiry logs once that the certificate in use has expired. It stays in use,
// because a refusal by the client says more than no answer.
func (c *CertificateFiles) warnOfExpiry(now time.Time) {
	if c.warned || !hasExpired(c.current, now) {
		return
	}
	c.warned = true
	c.log.Warn("the TLS certificate has expired, and clients refuse it: replace it", "file", c.certFile, "ended", c.current.Leaf.NotAfter)
}

// maxKeyFile bounds the file of a private key, in bytes.
const maxKeyFile = 1 << 20

// pair is the content of the two files.
type pair struct{ cert, key []byte }

var errExpired = errors.New("the TLS certificate has expired: replace it with a newer one")

func hasExpired(certificate *tls.Certificate, now time.Time) bool {
	return now.After(certificate.Leaf.NotAfter)
}

// readPEM reads a file in PEM.
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
		return fmt.Errorf("%s cannot be read: permission denied", file)
	default:
		return fmt.Errorf("%s cannot be read: make sure that it is a plain file", file)
	}
}

func parsePair(p pair) (*tls.Certificate, error) {
	certificate, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, errors.New("the TLS certificate and its key cannot be used together: " + p.problem())
	}
	return &certificate, nil
}

// problem says what is wrong with a pair that cannot be used, without quoting it.
func (p pair) problem() string {
	certificate := firstBlock(p.cert, "CERTIFICATE")
	key := firstBlock(p.key, "PRIVATE KEY")
	switch {
	case certificate == nil && firstBlock(p.cert, "PRIVATE KEY") != nil:
		return "the certificate file holds a key; the two files may have been swapped"
	case certificate == nil:
		return "the certificate file holds no certificate in PEM, with lines such as -----BEGIN CERTIFICATE-----; it may be incomplete"
	case key == nil:
		return "the key file holds no key in PEM, with lines such as -----BEGIN PRIVATE KEY-----; it may be incomplete"
	case key.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(key.Headers["Proc-Type"], "ENCRYPTED"):
		return "the key has a passphrase; remove it, for example with openssl pkey"
	}
	if _, err := x509.ParseCertificate(certificate.Bytes); err != nil {
		return "the certificate is damaged"
	}
	if !isPrivateKey(key.Bytes) {
		return "the key is damaged, or TLS does not support its type"
	}
	return "the key does not belong to the first certificate in the file; put the server's own certificate first, and those that signed it after it"
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
