package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func tlsServer(t *testing.T, configure func(*httptest.Server), handler http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	if configure != nil {
		configure(srv)
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

var emptyList = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []Token{}) })

func TestR27_CertificatesAreVerified(t *testing.T) {
	var arrived atomic.Int64
	srv := tlsServer(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		writeJSON(w, http.StatusOK, []Token{})
	}))
	_, err := newTestCaller(t, srv.URL).ListTokens(t.Context())
	e := mustError(t, err)
	var unknown x509.UnknownAuthorityError
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "KENBUN_CA_FILE") || e.Attempts != 1 || !errors.As(err, &unknown) {
		t.Errorf("after %d tries: %v", e.Attempts, err)
	}
	_, err = newTestCaller(t, srv.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
	var doubt *CreateError
	if !errors.Is(err, ErrUnavailable) || errors.As(err, &doubt) || arrived.Load() != 0 {
		t.Errorf("create: %v", err)
	}
	if _, err := newTestCaller(t, srv.URL, WithCAFile(caFile(t, srv))).ListTokens(t.Context()); err != nil || arrived.Load() != 1 {
		t.Errorf("with the CA file: %v", err)
	}
}

func TestR27_CertificateOfAnotherHostOrTime(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		template x509.Certificate
		says     string
	}{
		"other host": {x509.Certificate{NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"other.example"}}, "another host"},
		"expired":    {x509.Certificate{NotAfter: time.Now().Add(-time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, "clock"},
	} {
		tc.template.SerialNumber = big.NewInt(1)
		tc.template.Subject = pkix.Name{CommonName: "test"}
		tc.template.NotBefore = time.Now().Add(-2 * time.Hour)
		tc.template.IsCA, tc.template.BasicConstraintsValid = true, true
		der, err := x509.CreateCertificate(rand.Reader, &tc.template, &tc.template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		srv := tlsServer(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		}, emptyList)
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = newTestCaller(t, srv.URL, WithCAFile(file)).ListTokens(t.Context())
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestR27_OldTLSIsRefused(t *testing.T) {
	srv := tlsServer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	}, emptyList)
	_, err := newTestCaller(t, srv.URL, WithCAFile(caFile(t, srv))).ListTokens(t.Context())
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "could not agree on TLS") {
		t.Errorf("error is %v", err)
	}
}

// A handshake that fails has surely not acted, so the create is sent when it
// works.
func TestPostIsSentAgainAfterAFailedHandshake(t *testing.T) {
	var handshakes atomic.Int64
	api := &fakeAPI{t: t}
	srv := tlsServer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if handshakes.Add(1) == 2 {
				return nil, errors.New("not now")
			}
			return nil, nil
		}}
	}, api)
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			w.Header().Set("Connection", "close") // the POST has to connect anew
		}
		return false
	}
	_, err := newTestCaller(t, srv.URL, WithCAFile(caFile(t, srv))).CreateToken(t.Context(), NewToken{Name: "ci"})
	if err != nil || handshakes.Load() != 3 || api.count(http.MethodPost) != 1 {
		t.Errorf("%v after %d handshakes and %d POSTs", err, handshakes.Load(), api.count(http.MethodPost))
	}
}

func TestHTTP2(t *testing.T) {
	api := &fakeAPI{t: t}
	protocols := make(chan int, 100)
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		protocols <- r.ProtoMajor
		if r.Method == http.MethodPost {
			api.commit(r)
			cut(w) // over HTTP/2, a reset of the stream
		}
		return false
	}
	srv := tlsServer(t, func(s *httptest.Server) { s.EnableHTTP2 = true }, api)
	u := newTestCaller(t, srv.URL, WithCAFile(caFile(t, srv)))
	_, err := u.CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeRevoked)
	if api.count(http.MethodPost) != 1 || len(api.live()) != 0 {
		t.Errorf("live are %v after %d POSTs", api.live(), api.count(http.MethodPost))
	}
	if got := <-protocols; got != 2 {
		t.Errorf("spoke HTTP/%d", got)
	}
}

func TestCAFileErrorsTeach(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(WithCAFile(file)); err == nil || !strings.Contains(err.Error(), "BEGIN CERTIFICATE") {
		t.Errorf("error is %v", err)
	}
	if _, err := New(WithCAFile(file + "2")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	if _, err := New(WithCAFile(file), WithTransport(http.DefaultTransport)); err == nil || !strings.Contains(err.Error(), "transport") {
		t.Errorf("error is %v", err)
	}
}
