//go:build linux

package deploy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// upstream stands in the place of a replica and remembers what it is asked.
type upstream struct {
	mu       sync.Mutex
	requests []*http.Request
	// cut closes connections in the place of answers.
	cut bool
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests = append(u.requests, r)
	cut := u.cut
	u.mu.Unlock()
	if cut {
		panic(http.ErrAbortHandler) // closes the connection without a byte
	}
	// A connection that is closed with a part of the request unread is reset, and
	// nginx may lose the answer with it.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusOK)
}

// serve serves on a socket until the test ends.
func (u *upstream) serve(t *testing.T, socket string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: u}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
}

func (u *upstream) seen() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests
}

// startBehindNginx has both replicas be u.
func startBehindNginx(t *testing.T, u *upstream) *deployment {
	t.Helper()
	d := newDeployment(t)
	u.serve(t, d.replica1)
	u.serve(t, d.replica2)
	d.startNginx(t)
	return d
}

func TestR22_NginxTellsWhoAsksAndBelievesNoStranger(t *testing.T) {
	u := &upstream{}
	d := startBehindNginx(t, u)
	request, err := http.NewRequest(http.MethodGet, "https://"+host+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP"} {
		request.Header.Set(name, "192.0.2.7")
	}
	request.Header.Set("Forwarded", "for=192.0.2.7")
	response, err := d.client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 2 || response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("nginx answers with %s, %v", response.Proto, response.Header)
	}
	got := u.seen()[0]
	if got.Host != host || strings.Join(got.Header.Values("X-Forwarded-For"), "|") != "127.0.0.1" || got.Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("the replica is told %q, %v", got.Host, got.Header)
	}
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, ""), "192.0.2.7") {
			t.Errorf("a stranger's %s gets through", name)
		}
	}
}

func TestR19_NginxRepeatsNoPostThatWasSent(t *testing.T) {
	u := &upstream{cut: true}
	d := startBehindNginx(t, u)
	for i := range 10 {
		before := len(u.seen())
		response, err := d.client(t).Post("https://"+host+"/mcp", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if sent := len(u.seen()) - before; response.StatusCode != http.StatusBadGateway || sent > 1 {
			t.Errorf("request %d: answer %d, sent %d times", i, response.StatusCode, sent)
		}
	}
	if len(u.seen()) == 0 {
		t.Error("nothing was sent at all")
	}
}

func TestR24_NginxRefusesWhatIsTooLarge(t *testing.T) {
	u := &upstream{}
	d := startBehindNginx(t, u)
	for size, want := range map[int]int{1 << 20: http.StatusOK, 1<<20 + 1: http.StatusRequestEntityTooLarge} {
		response, err := d.client(t).Post("https://"+host+"/mcp", "application/json", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, response.StatusCode, want)
		}
	}
}

func TestR28_NginxServesItsOwnNameOnly(t *testing.T) {
	u := &upstream{}
	d := startBehindNginx(t, u)
	for _, name := range []string{"other.example.com", ""} {
		connection, err := tls.Dial("tcp", d.nginx, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil {
			connection.Close()
			t.Errorf("the name %q gets a certificate", name)
		}
	}
	request, err := http.NewRequest(http.MethodGet, "https://"+host+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "localhost"
	response, err := d.client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest || len(u.seen()) > 0 {
		t.Errorf("another Host gets %d, and %d requests through", response.StatusCode, len(u.seen()))
	}
}

func TestR1_LogsOfADeploymentHoldNoSecrets(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	redis := d.startRedis(t)
	replica1 := d.startReplica(t, "replica1", "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=debug")
	d.startNginx(t) // half of what is asked finds nobody at first
	ada := user{d.client(t), api.User(t, "ada@example.com", authority.RoleMember)}
	answer, err := ada.call("create_token", `{"name":"nightly","expires":"7d"}`)
	if err != nil {
		t.Fatal(err)
	}
	id := claimID.FindString(answer)
	value, err := ada.fetch(id)
	if err != nil {
		t.Fatal(err)
	}
	replica1.signal(t, syscall.SIGTERM)
	<-replica1.ended
	// Nobody is there: what nginx logs of that is most.
	for _, path := range []string{"/mcp?token=" + ada.pat, "/claim/" + id, "/" + ada.pat} {
		response, err := ada.client.Get("https://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	waitUntil(t, "nginx has logged it", func() bool { return strings.Contains(d.content(t, "access.log"), `"path":"other"`) })
	for _, file := range []string{"access.log", "error.log"} {
		if strings.Contains(d.content(t, file), id) {
			t.Errorf("%s holds the id of a claim", file)
		}
	}
	for where, text := range map[string]string{
		"access.log": d.content(t, "access.log"), "error.log": d.content(t, "error.log"),
		"the replica's log": replica1.log.String(), "the log of Redis": redis.log.String(),
	} {
		for _, secret := range []string{ada.pat, value} {
			if strings.Contains(text, secret[16:]) { // the first 16 are public
				t.Errorf("%s holds a token", where)
			}
		}
	}
}
