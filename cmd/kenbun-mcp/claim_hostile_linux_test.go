package main

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// hostileServer is at an address that a model named. It keeps all that arrives,
// and passes it on to the user's server.
type hostileServer struct {
	*httptest.Server
	mu      sync.Mutex
	arrived strings.Builder
	answers []int
}

func newHostileServer(t *testing.T, target string, keepHost bool) *hostileServer {
	t.Helper()
	upstream, err := url.Parse("http://" + target)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileServer{}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			if keepHost {
				r.Out.Host = r.In.Host
			}
		},
		ModifyResponse: func(r *http.Response) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.answers = append(h.answers, r.StatusCode)
			return nil
		},
	}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		h.arrived.Write(dump)
		h.mu.Unlock()
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// TestClaim_HostileServerGetsNothingThatHelps has the user fetch a claim at an
// address that a model named, and say yes to it.
func TestClaim_HostileServerGetsNothingThatHelps(t *testing.T) {
	d := newDeployment(t)
	address := startHTTP(t, d.environment)
	id := makeClaim(t, address, d.ada, "nightly")
	secrets := map[string][]byte{"the token": []byte(d.ada[16:])}
	for _, info := range []string{"value", "proof"} {
		key, err := client.NewSecret(d.ada).DeriveKey("kenbun-mcp claim v2", info+"\x00"+id)
		if err != nil {
			t.Fatal(err)
		}
		secrets["the key for the "+info] = key
	}
	for name, keepHost := range map[string]bool{"passed on under the server's name": false, "passed on under its own name": true} {
		t.Run(name, func(t *testing.T) {
			hostile := newHostileServer(t, address, keepHost)
			got := d.runAs(t, d.ada, "claim", "--stdout", id, "--server", hostile.URL)
			if got.code != command.ExitRefused || got.stdout != "" {
				t.Errorf("exit %d, %q, %s", got.code, got.stdout, got.stderr)
			}
			hostile.mu.Lock()
			defer hostile.mu.Unlock()
			arrived := hostile.arrived.String()
			if !strings.Contains(arrived, `"proof"`) || len(hostile.answers) != 1 || hostile.answers[0] != http.StatusNotFound {
				t.Fatalf("nothing was tried: %v, %s", hostile.answers, arrived)
			}
			for what, secret := range secrets {
				for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)} {
					if strings.Contains(arrived, form) {
						t.Errorf("%s arrives at the hostile server", what)
					}
				}
			}
		})
	}
	// The claim was not used up.
	got := d.runAs(t, d.ada, "claim", "--stdout", id, "--server", "http://"+address)
	if _, err := d.api.As(t, strings.TrimSpace(got.stdout)).Me(t.Context()); got.code != 0 || err != nil {
		t.Errorf("the user: exit %d, %v, %s", got.code, err, got.stderr)
	}
}

// TestClaim_AsksOnceAboutAServer: a server is named before anything goes there,
// and remembered once a claim was opened.
func TestClaim_AsksOnceAboutAServer(t *testing.T) {
	d := newDeployment(t)
	address := startHTTP(t, d.environment)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+d.api.URL, "KENBUN_PAT="+d.ada)
	hostile := newHostileServer(t, address, false)
	id := makeClaim(t, address, d.ada, "nightly")

	shown, code := atTerminal(t, environment, 100, "n\n", "claim", "--stdout", id, "--server", hostile.URL)
	host := strings.TrimPrefix(hostile.URL, "http://")
	if code != command.ExitRefused || !strings.Contains(shown, "You have not fetched a claim at "+host+" before") || hostile.arrived.Len() != 0 {
		t.Errorf("a no: exit %d, %d bytes arrived: %s", code, hostile.arrived.Len(), shown)
	}
	got := runProgram(t, environment, "y\n", "claim", "--stdout", id, "--server", hostile.URL)
	if got.code != command.ExitRefused || !strings.Contains(got.stderr, "run the command in a terminal") || hostile.arrived.Len() != 0 {
		t.Errorf("without a terminal: exit %d, %s", got.code, got.stderr)
	}
	shown, code = atTerminal(t, environment, 100, "y\n", "claim", "http://"+address+"/claim/"+id)
	if code != 0 || !strings.Contains(shown, "kbn_pat_") {
		t.Fatalf("a yes: exit %d: %s", code, shown)
	}
	data := ""
	for _, variable := range environment {
		if value, ok := strings.CutPrefix(variable, "XDG_DATA_HOME="); ok {
			data = value
		}
	}
	file := filepath.Join(data, "kenbun-mcp", "known-servers")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || readFile(t, file) != "http://"+address+"\n" {
		t.Errorf("remembered is %q, %v, %v", readFile(t, file), info, err)
	}
	id = makeClaim(t, address, d.ada, "second")
	if got := runProgram(t, environment, "", "claim", "--stdout", id, "--server", "http://"+address); got.code != 0 {
		t.Errorf("a known server: exit %d, %s", got.code, got.stderr)
	}
}

// TestClaim_SealedSendsNothing watches the system calls of `claim --sealed`.
func TestClaim_SealedSendsNothing(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		require.SkipUnlessRequired(t, "strace is not installed")
	}
	c := newCountry(t)
	r := c.roadTo(t, "sealed")
	said, _ := c.create(t, r)
	_, body, _ := strings.Cut(said, "-----BEGIN AGE ENCRYPTED FILE-----")
	body, _, _ = strings.Cut(body, "-----END AGE ENCRYPTED FILE-----")
	text := filepath.Join(t.TempDir(), "token.age")
	writePrivate(t, text, []byte("-----BEGIN AGE ENCRYPTED FILE-----"+strings.ReplaceAll(body, `\n`, "\n")+"-----END AGE ENCRYPTED FILE-----\n"))
	trace := filepath.Join(t.TempDir(), "trace")
	command := exec.Command(strace, "-f", "-e", "trace=network", "-o", trace, kenbuntest.Binary(t), "claim", "--stdout", "--sealed", text, "--identity-file", r.identityFile)
	command.Env = kenbuntest.Environment(t, "KENBUN_PAT="+c.pat, "KENBUN_API_URL="+c.api.URL)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil || !strings.HasPrefix(string(output), "kbn_pat_") {
		t.Fatalf("%v: %s", err, errors.String())
	}
	if traced := readFile(t, trace); strings.Contains(traced, "AF_INET") {
		t.Errorf("it uses the network: %s", traced)
	}
}
