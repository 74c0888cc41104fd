//go:build linux

package deploy_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// patience is how long a test waits for what must come. It bounds failures;
// nothing waits for it to pass.
const patience = 40 * time.Second

// certify puts a certificate for host and its key into folder, and returns who
// trusts it.
func certify(t *testing.T, folder string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificatePEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	for name, content := range map[string][]byte{
		"tls.crt": certificatePEM, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificatePEM)
	return pool
}

// program finds a program, or leaves the test out.
func program(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		kenbuntest.SkipUnlessRequired(t, "there is no "+name+" on this machine")
	}
}

// startRedis starts the service redis as Compose would.
func (d *deployment) startRedis(t *testing.T) *process {
	t.Helper()
	program(t, "redis-server")
	d.adapt(t, "redis", "redis.conf")
	p := launch(t, os.Environ(), d.words(t, "redis"))
	p.waitFor(t, "Ready to accept connections")
	return p
}

// setWorkers sets the user of nginx's workers: d.workers, or the user of the test,
// since nginx and the replicas run as one user in their containers.
func (d *deployment) setWorkers(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return // it runs as the user of the test
	}
	workers := cmp.Or(d.workers, "root")
	file := filepath.Join(d.folder, "nginx.conf")
	content := "user " + workers + ";\n" + d.content(t, "nginx.conf")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startNginx starts the service nginx as Compose would.
func (d *deployment) startNginx(t *testing.T) *process {
	t.Helper()
	program(t, "nginx")
	d.adapt(t, "nginx", "nginx.conf")
	d.setWorkers(t)
	words := append(d.words(t, "nginx"), "-p", d.folder, "-c", filepath.Join(d.folder, "nginx.conf"), "-e", filepath.Join(d.folder, "error.log"))
	if output, err := exec.Command(words[0], append(words[1:], "-t")...).CombinedOutput(); err != nil || bytes.Contains(output, []byte("[warn]")) {
		t.Fatalf("nginx -t: %v: %s", err, output)
	}
	p := launch(t, os.Environ(), words)
	for _, address := range []string{d.nginx, d.health} {
		waitUntil(t, "nginx listens", func() bool {
			connection, err := net.Dial("tcp", address)
			if err != nil {
				return false
			}
			return connection.Close() == nil
		})
	}
	return p
}

// startReplica starts a replica as Compose would; variables win over the
// file's.
func (d *deployment) startReplica(t *testing.T, service string, variables ...string) *process {
	t.Helper()
	// A test sends more than people may.
	variables = append([]string{"KENBUN_RATE_LIMIT=0", "KENBUN_RATE_LIMIT_ADDRESS=0", "KENBUN_MAX_TOKENS_PER_DAY=0"}, variables...)
	environment := kenbuntest.Environment(t, append(d.environment(t, service), variables...)...)
	words := d.words(t, service, kenbuntest.Binary(t))
	if volumes := filepath.Join(d.folder, "volumes", "journal"); os.MkdirAll(volumes, 0o700) != nil {
		t.Fatalf("there can be no folder %s", volumes)
	}
	p := launch(t, environment, words)
	p.waitFor(t, "Serving MCP on unix:")
	return p
}

// startAll starts all services, and returns the replicas.
func (d *deployment) startAll(t *testing.T, api *kenbuntest.API, variables ...string) (replica1, replica2 *process) {
	t.Helper()
	d.startRedis(t)
	variables = append(variables, "KENBUN_API_URL="+api.URL)
	replica1, replica2 = d.startReplica(t, "replica1", variables...), d.startReplica(t, "replica2", variables...)
	d.startNginx(t)
	return replica1, replica2
}

// client reaches nginx under the name of its certificate.
func (d *deployment) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", d.nginx)
		},
		TLSClientConfig:   &tls.Config{RootCAs: d.authorities},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// content is what is in a file of the deployment.
func (d *deployment) content(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(d.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// waitFor waits until the process said something.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	waitUntil(t, "it says "+text, func() bool {
		if p.hasEnded() && !strings.Contains(p.log.String(), text) {
			t.Fatalf("%s ended: %s", p.Path, p.log.String())
		}
		return strings.Contains(p.log.String(), text)
	})
}

func waitUntil(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come: %s", what)
		}
		time.Sleep(10 * time.Millisecond) // between looks at another process
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}
