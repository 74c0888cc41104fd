package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// certificateFreshness is how long nobody looks whether the files changed.
const certificateFreshness = time.Second

// CertificateFiles are a certificate and its private key in files that may be
// replaced while the server runs, as those are that renew certificates.
type CertificateFiles struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	current *tls.Certificate
	// seen is what the files held when they were last looked at, whether it was
	// of use or not.
	seen pair
	// toldOfEnd is set when the log has that the current one has ended.
	toldOfEnd bool
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
	files.warnOfEnd(files.looked)
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
	return &tlsListener{tls.NewListener(listener, c.TLSConfig()), listener}
}

// tlsListener is a listener whose socket can be reached through TLS.
type tlsListener struct {
	net.Listener
	below net.Listener
}

// SyscallConn implements [syscall.Conn].
func (l *tlsListener) SyscallConn() (syscall.RawConn, error) { return socketOf(l.below) }

// certificate returns the certificate as it is in the files now, looking at them
// once a second at most. If they hold nothing of use, the one before stays.
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
		c.warnOfEnd(now)
		return c.current
	}
	c.seen = read
	var certificate *tls.Certificate
	if err == nil {
		certificate, err = parsePair(read)
	}
	if err == nil && hasEnded(certificate, now) && !hasEnded(c.current, now) {
		err = errEnded
	}
	if err != nil {
		// Of a pair that is being replaced one file comes first: the next look sees
		// both.
		c.log.Warn("the new TLS certificate cannot be used; the one before stays", "cause", err)
		return c.current
	}
	c.current, c.toldOfEnd = certificate, false
	c.log.Info("a new TLS certificate is in use")
	c.warnOfEnd(now)
	return c.current
}

// read returns what the files hold; nothing for one that cannot be read.
func (c *CertificateFiles) read() (pair, error) {
	cert, certErr := readPEM(c.certFile)
	key, keyErr := readKeyPEM(c.keyFile)
	return pair{cert, key}, errors.Join(certErr, keyErr)
}

// warnOfEnd tells once that the certificate in use has ended. It is used
// nevertheless: there is no better one, and a refusal by the client says more than
// no answer.
func (c *CertificateFiles) warnOfEnd(now time.Time) {
	if c.toldOfEnd || !hasEnded(c.current, now) {
		return
	}
	c.toldOfEnd = true
	c.log.Warn("the TLS certificate has ended, and clients refuse it: put a new one in its place", "file", c.certFile, "ended", c.current.Leaf.NotAfter)
}
