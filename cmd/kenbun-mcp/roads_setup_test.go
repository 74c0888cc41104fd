//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
)

// witness stands between the program and the API and sees the value of every
// token that is made.
type witness struct {
	url string

	mu   sync.Mutex
	made []string
	// onMade, if any, is called when the API has made a token, before anybody
	// hears of it.
	onMade func()
	// onAsked, if any, is called once, before the next request is passed on.
	onAsked func()
}

func newWitness(t *testing.T, api *kenbuntest.API) *witness {
	t.Helper()
	target, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { w.askedToMake(p.In); p.SetURL(target) },
		ModifyResponse: w.see,
	}}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	w.url = "http://" + listener.Addr().String()
	return w
}

func (w *witness) see(response *http.Response) error {
	if response.StatusCode != http.StatusCreated {
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &made); err != nil {
		return err
	}
	w.mu.Lock()
	w.made = append(w.made, made.Token)
	onMade := w.onMade
	w.mu.Unlock()
	if onMade != nil {
		onMade()
	}
	return nil
}

func (w *witness) askedToMake(r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	w.mu.Lock()
	onAsked := w.onAsked
	w.onAsked = nil
	w.mu.Unlock()
	if onAsked != nil {
		onAsked()
	}
}

func (w *witness) whenAskedToMake(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onAsked = do
}

func (w *witness) values() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.made...)
}

func (w *witness) whenMade(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onMade = do
}

// road is one way to a person, as a test sets it up.
type road struct {
	name     string
	overHTTP bool
	// header is a further header of a request over HTTP.
	header    [2]string
	variables []string
	// fetch is what the person does to get at the value. answer is what the
	// program said, address where it serves over HTTP.
	fetch func(t *testing.T, answer, address string) string
	// block makes the road impassable from the beginning. Nil: nothing can.
	block func(t *testing.T, r *road)
	// destroy makes it impassable while somebody is on it. Nil: nothing can.
	destroy func(t *testing.T)
	// served, if any, is called when the server is there.
	served func()
	// identityFile opens what is sealed. Only for the road sealed.
	identityFile string
	// fill leaves no room on the disk that the road ends on. Nil: it ends on none.
	fill func(t *testing.T)
}

// country is a user and the roads to them.
type country struct {
	api     *kenbuntest.API
	witness *witness
	pat     string
	data    string
}

func newCountry(t *testing.T) *country {
	t.Helper()
	c := &country{api: kenbuntest.Start(t), data: t.TempDir()}
	c.witness = newWitness(t, c.api)
	c.pat = c.api.User(t, "ada@example.com", authority.RoleMember)
	return c
}

func (c *country) environment(t *testing.T, r road) []string {
	t.Helper()
	environment := kenbuntest.Environment(t, "XDG_DATA_HOME="+c.data, "KENBUN_API_URL="+c.witness.url, "KENBUN_DELIVER="+r.name, "KENBUN_LOG_LEVEL=debug")
	if !r.overHTTP {
		environment = append(environment, "KENBUN_PAT="+c.pat)
	}
	return append(environment, r.variables...)
}

const createImport = `{"name":"import","expires":"7d"}`

// create has a token made, and returns all that came out of the program, and
// where it serves.
func (c *country) create(t *testing.T, r road) (said, address string) {
	t.Helper()
	environment := c.environment(t, r)
	if r.overHTTP {
		address, log := startHTTPLogged(t, environment)
		if r.served != nil {
			r.served()
		}
		answer := postMCPWith(t, address, c.pat, callTool("create_token", createImport), r.header)
		return answer + log(), address
	}
	got := converse(t, environment, initialize+toolCall(2, "create_token", createImport), "stdio")
	return got.stdout + got.stderr, ""
}

// live are the user's live tokens beside the one that the program runs on.
func (c *country) live(t *testing.T) []client.Token {
	t.Helper()
	tokens, err := c.api.As(t, c.pat).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var live []client.Token
	for _, token := range tokens {
		if token.Name == "import" && token.Status(c.api.Now()) == client.StatusActive {
			live = append(live, token)
		}
	}
	return live
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return wholeToken.FindString(string(content))
}

// everyRoad names the roads that roadTo sets up.
var everyRoad = []string{"page", "keychain", "file", "env-file", "claim", "sealed", "inline"}

// roadTo sets a road up.
func (c *country) roadTo(t *testing.T, name string) road {
	t.Helper()
	r := road{name: name}
	switch name {
	case "page":
		person, browser := newClicker(t, url.Values{"choice": {"show"}})
		r.variables = browser
		r.fetch = func(*testing.T, string, string) string { return wholeToken.FindString(<-person.seen) }
		r.block = func(_ *testing.T, r *road) { r.variables = []string{"KENBUN_NO_BROWSER=true"} }
	case "keychain":
		bus := kenbuntest.SecretService(t, true)
		r.variables = []string{"DBUS_SESSION_BUS_ADDRESS=" + bus}
		r.fetch = func(t *testing.T, _, _ string) string {
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus)
			value, err := keychain.System().Get(t.Context(), c.live(t)[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			return value.Reveal()
		}
		r.block = func(t *testing.T, r *road) {
			r.variables = []string{"DBUS_SESSION_BUS_ADDRESS=" + kenbuntest.SecretService(t, false)}
		}
	case "file":
		folder := filepath.Join(kenbuntest.SmallDisk(t), "tokens")
		r.variables = []string{"KENBUN_DELIVER_DIR=" + folder}
		r.fetch = func(t *testing.T, _, _ string) string {
			return contentOf(t, filepath.Join(folder, c.live(t)[0].ID+".token"))
		}
		r.block = func(t *testing.T, _ *road) { mustDo(t, os.Mkdir(folder, 0o700), os.Chmod(folder, 0o755)) }
		r.destroy = func(t *testing.T) { mustDo(t, os.Chmod(folder, 0o755)) }
		r.fill = func(t *testing.T) { kenbuntest.FillDisk(t, filepath.Join(filepath.Dir(folder), "ballast")) }
	case "env-file":
		folder := kenbuntest.SmallDisk(t)
		file := filepath.Join(folder, ".env")
		r.variables = []string{"KENBUN_DELIVER_ENV_FILE=" + file}
		r.fetch = func(t *testing.T, _, _ string) string { return contentOf(t, file) }
		r.block = func(t *testing.T, _ *road) { mustDo(t, os.WriteFile(file, nil, 0o600), os.Chmod(file, 0o644)) }
		r.destroy = func(t *testing.T) { mustDo(t, os.RemoveAll(file), os.Mkdir(file, 0o700)) }
		r.fill = func(t *testing.T) { kenbuntest.FillDisk(t, filepath.Join(folder, "ballast")) }
	case "claim":
		c.claimRoad(t, &r)
	case "sealed":
		c.sealedRoad(t, &r)
	case "inline":
		r.fetch = func(_ *testing.T, answer, _ string) string { return wholeToken.FindString(answer) }
	}
	return r
}

func (c *country) claimRoad(t *testing.T, r *road) {
	t.Helper()
	redis := kenbuntest.StartRedis(t)
	r.overHTTP = true
	r.variables = []string{"KENBUN_STATE=" + redis.URL(), "KENBUN_STATE_KEY_FILE=" + filepath.Join(t.TempDir(), "key"), "KENBUN_ALLOWED_HOST=mcp.example.com"}
	r.fetch = func(t *testing.T, answer, address string) string {
		arguments := []string{"claim", "--stdout", claimID.FindString(answer), "--server", "http://" + address}
		got := runProgram(t, knowing(t, kenbuntest.Environment(t, "KENBUN_PAT="+c.pat), arguments), "", arguments...)
		if got.code != 0 {
			t.Fatalf("claim: exit %d: %s", got.code, got.stderr)
		}
		return strings.TrimSpace(got.stdout)
	}
	r.block = func(_ *testing.T, r *road) { r.served = redis.Stop }
	r.destroy = func(*testing.T) { redis.Stop() }
}

func (c *country) sealedRoad(t *testing.T, r *road) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "identity")
	writePrivate(t, file, []byte(identity.String()+"\n"))
	r.overHTTP, r.identityFile = true, file
	r.variables = []string{"KENBUN_ALLOWED_HOST=mcp.example.com"}
	r.header = [2]string{"X-Kenbun-Recipient", identity.Recipient().String()}
	r.fetch = func(t *testing.T, answer, _ string) string {
		_, body, _ := strings.Cut(answer, "-----BEGIN AGE ENCRYPTED FILE-----")
		body, _, _ = strings.Cut(body, "-----END AGE ENCRYPTED FILE-----")
		armored := "-----BEGIN AGE ENCRYPTED FILE-----" + strings.ReplaceAll(body, `\n`, "\n") + "-----END AGE ENCRYPTED FILE-----\n"
		got := runProgram(t, kenbuntest.Environment(t, "KENBUN_PAT="+c.pat), armored, "claim", "--stdout", "--sealed", "--identity-file", file)
		if got.code != 0 {
			t.Fatalf("claim --sealed: exit %d: %s", got.code, got.stderr)
		}
		return strings.TrimSpace(got.stdout)
	}
	r.block = func(_ *testing.T, r *road) { r.header = [2]string{} }
}
