package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// newCertificate makes a certificate for the loopback address.
func newCertificate(t testing.TB) kenbuntest.Certificate {
	t.Helper()
	return kenbuntest.NewCertificate(t, "127.0.0.1")
}

// tlsFiles are the files of a certificate.
type tlsFiles struct{ cert, key string }

func (f tlsFiles) write(t testing.TB, cert, key []byte) {
	t.Helper()
	for file, content := range map[string][]byte{f.cert: cert, f.key: key} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tlsHouse is a house served over TLS.
type tlsHouse struct {
	*httpHouse
	files tlsFiles
	log   *logBuffer
	// trusted are the certificates that clients trust.
	trusted *x509.CertPool
}

// overTLS is a guard around a listener, and what it stands on.
func overTLS(t testing.TB, first kenbuntest.Certificate) (guard func(net.Listener) net.Listener, files tlsFiles, log *logBuffer) {
	t.Helper()
	dir := t.TempDir()
	files, log = tlsFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}, &logBuffer{}
	files.write(t, first.CertPEM, first.KeyPEM)
	certificate, err := edge.LoadCertificate(files.cert, files.key, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return func(l net.Listener) net.Listener { return tls.NewListener(l, certificate.TLSConfig()) }, files, log
}

// trust has the clients of served speak TLS, and HTTP/2 where they can.
func trust(served *httpHouse, trusted *x509.CertPool) {
	transport := served.client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	transport.ForceAttemptHTTP2 = true
	served.url = strings.Replace(served.url, "http://", "https://", 1)
}

func serveTLS(t *testing.T, first kenbuntest.Certificate) *tlsHouse {
	t.Helper()
	guard, files, log := overTLS(t, first)
	h := newHouse(t, byRequest)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	limit := func(l net.Listener) net.Listener { return edge.LimitConnections(l, edge.ConnectionLimits{}) }
	served := &tlsHouse{listen(t, h, handler, limit, guard), files, log, first.Pool()}
	trust(served.httpHouse, served.trusted)
	return served
}

// presented is the certificate that the server shows in a new handshake.
func (h *tlsHouse) presented(t testing.TB) *x509.Certificate {
	t.Helper()
	connection, err := tls.Dial("tcp", strings.TrimPrefix(h.url, "https://"), &tls.Config{RootCAs: h.trusted})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // the handshake is all that counts
	return connection.ConnectionState().PeerCertificates[0]
}

func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !happened(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come: %s", what)
		}
	}
}

func TestR27_TLSCarriesMCPOverHTTP2AndHTTP1(t *testing.T) {
	h := serveTLS(t, newCertificate(t))
	for _, want := range []int{1, 2} {
		var protocols http.Protocols
		protocols.SetHTTP1(want == 1)
		protocols.SetHTTP2(want == 2)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.trusted, MinVersion: tls.VersionTLS12}, Protocols: &protocols}
		response, err := transport.RoundTrip(h.newRequest(t, "POST", "/mcp", bearer(h.pat), initialize(t, 1, noCapabilities)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if closing := response.Body.Close(); err != nil || closing != nil {
			t.Fatal(err, closing)
		}
		if response.StatusCode != 200 || response.ProtoMajor != want || !strings.Contains(string(body), `"serverInfo"`) || response.TLS.Version < tls.VersionTLS12 {
			t.Errorf("status %d over %s, %s; want HTTP/%d", response.StatusCode, response.Proto, body, want)
		}
		transport.CloseIdleConnections()
	}
}

func TestR27_TLSCarriesAConversationOverHTTP2(t *testing.T) {
	h := serveTLS(t, newCertificate(t))
	target := h.api.Token(t, "ada@example.com", "old", nil)
	session := h.session(t, bearer(h.pat), asksPeople)
	s := h.open(t, "POST", session, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
	question := s.next()
	if s.response.ProtoMajor != 2 {
		t.Errorf("over %s", s.response.Proto)
	}
	no := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"decline"}}`
	if answer := h.post(t, session, no); answer.status != http.StatusAccepted {
		t.Fatalf("the answer: status %d", answer.status)
	}
	if answer := s.next().tool(t); !strings.HasPrefix(answer.text(), "declined: ") {
		t.Errorf("the call: %s", answer.text())
	}
	s.ends()
	if text := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "whoami"}).message(t).tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("whoami: %s", text)
	}
}

func TestR27_OldTLSAndNoTLSAreRefused(t *testing.T) {
	h := serveTLS(t, newCertificate(t))
	address := strings.TrimPrefix(h.url, "https://")
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: h.trusted, MinVersion: tls.VersionTLS10, MaxVersion: old})
		if err == nil {
			t.Errorf("%s is spoken", tls.VersionName(old))
			_ = connection.Close()
		} else if !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s: %v", tls.VersionName(old), err)
		}
	}
	plain := *h.httpHouse
	plain.url = "http://" + address
	if answer := plain.do(t, "GET", "/healthz", nil, ""); answer.status != http.StatusBadRequest {
		t.Errorf("without TLS: status %d, %s", answer.status, answer.body)
	}
}

func TestTLS_NewCertificateIsTakenWithoutARestart(t *testing.T) {
	first, second := newCertificate(t), newCertificate(t)
	h := serveTLS(t, first)
	h.trusted.AddCert(second.Certificate)
	if !h.presented(t).Equal(first.Certificate) {
		t.Fatal("another certificate is shown")
	}
	stays := h.open(t, "GET", h.session(t, bearer(h.pat), noCapabilities).with("Accept", "text/event-stream"), "")
	h.files.write(t, second.CertPEM, second.KeyPEM)
	await(t, "the new certificate is shown", func() bool { return h.presented(t).Equal(second.Certificate) })
	if !strings.Contains(h.log.String(), "a new TLS certificate is in use") {
		t.Errorf("the log is %s", h.log.String())
	}
	// What is open stays open.
	if answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.status != 200 {
		t.Errorf("status %d", answer.status)
	}
	if err := stays.response.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestTLS_CertificateThatCannotBeUsedLeavesTheOneBefore(t *testing.T) {
	first, second, third := newCertificate(t), newCertificate(t), newCertificate(t)
	h := serveTLS(t, first)
	h.trusted.AddCert(third.Certificate)
	warnings := func() int { return strings.Count(h.log.String(), "the previous one stays in use") }
	for i, replace := range []func(){
		func() { h.files.write(t, []byte("garbage"), first.KeyPEM) },
		func() { h.files.write(t, second.CertPEM, first.KeyPEM) }, // the other half is still to come
		func() {
			if err := os.Remove(h.files.key); err != nil {
				t.Fatal(err)
			}
		},
	} {
		replace()
		await(t, "the pair is found out", func() bool {
			if !h.presented(t).Equal(first.Certificate) {
				t.Fatal("another certificate is shown")
			}
			return warnings() == i+1
		})
	}
	// It is told once for each, and not at every look.
	looked := time.Now()
	await(t, "another look", func() bool { h.presented(t); return time.Since(looked) > 1100*time.Millisecond })
	if warnings() != 3 {
		t.Errorf("three pairs of no use are told %d times: %s", warnings(), h.log.String())
	}
	h.files.write(t, third.CertPEM, third.KeyPEM)
	await(t, "a pair that can be used is shown", func() bool { return h.presented(t).Equal(third.Certificate) })
	if strings.Contains(h.log.String(), "PRIVATE") {
		t.Error("the log holds a key")
	}
}

func TestLoadCertificate_SaysWhatIsWrong(t *testing.T) {
	one, other := newCertificate(t), newCertificate(t)
	dir := t.TempDir()
	files := tlsFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	logger := slog.New(slog.DiscardHandler)
	if _, err := edge.LoadCertificate(files.cert, files.key, logger); err == nil || !strings.Contains(err.Error(), "cert.pem") || !strings.Contains(err.Error(), "key.pem") {
		t.Errorf("no files: %v", err)
	}
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	for _, c := range []struct {
		shows     string
		cert, key []byte
		says      string
	}{
		{"another's key", one.CertPEM, other.KeyPEM, "the key does not belong to the first certificate"},
		{"exchanged", one.KeyPEM, one.CertPEM, "may have been swapped"},
		{"half a certificate", one.CertPEM[:100], one.KeyPEM, "the certificate file holds no certificate"},
		{"half a key", one.CertPEM, one.KeyPEM[:50], "the key file holds no key"},
		{"a key under a passphrase", one.CertPEM, encrypted, "has a passphrase"},
		{"the root's certificate first", append(bytes.Clone(other.CertPEM), one.CertPEM...), one.KeyPEM, "put the server's own certificate first"},
	} {
		files.write(t, c.cert, c.key)
		_, err := edge.LoadCertificate(files.cert, files.key, logger)
		if err == nil || !strings.Contains(err.Error(), "cannot be used together") || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "x509") {
			t.Errorf("%s: %v", c.shows, err)
		}
	}
}

func TestTLS_CertificateThatHasEndedIsTold(t *testing.T) {
	ended, good := kenbuntest.NewCertificateUntil(t, time.Now().Add(-time.Minute), "127.0.0.1"), newCertificate(t)
	_, _, log := overTLS(t, ended)
	if !strings.Contains(log.String(), "the TLS certificate has expired") {
		t.Errorf("at the start the log is %q", log.String())
	}
	h := serveTLS(t, good)
	h.files.write(t, ended.CertPEM, ended.KeyPEM)
	await(t, "it does not take the place of a good one", func() bool {
		if !h.presented(t).Equal(good.Certificate) {
			t.Fatal("the certificate that has ended is shown")
		}
		return strings.Contains(h.log.String(), "the previous one stays in use")
	})
}

func TestA23_HTTP2ClientThatDoesNotReadItsStreamIsCutOff(t *testing.T) {
	certificate := newCertificate(t)
	guard, _, _ := overTLS(t, certificate)
	h := newHouse(t, byRequest)
	h.SetWriteTimeout(500 * time.Millisecond)
	addTool(h, "much", much(16<<20))
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 16)
	served := listen(t, h, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		ended <- struct{}{}
	}), guard)
	trust(served, certificate.Pool())
	served.client.Timeout = 2 * patience // it is the server that gives up
	header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "much")
	response, err := served.client.Do(served.newRequest(t, "POST", "/mcp", header, modern(t, 1, "tools/call", map[string]any{"name": "much"})))
	if err != nil {
		t.Fatal(err)
	}
	if response.ProtoMajor != 2 {
		t.Fatalf("over %s", response.Proto)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the answer waits for ever")
	}
	if n, err := io.Copy(io.Discard, response.Body); err == nil || n >= 16<<20 {
		t.Errorf("%d bytes came, and %v", n, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	// The client's other streams on the connection are not concerned.
	if answer := served.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.status != 200 {
		t.Errorf("status %d", answer.status)
	}
}

// much answers with so many bytes.
func much(bytes int) func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	text := strings.Repeat("x", bytes)
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(text), nil
	}
}
