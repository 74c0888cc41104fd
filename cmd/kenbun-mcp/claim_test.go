package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/claim"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
	"github.com/kenbun/kenbun-mcp/tools"
)

// deployment is what replicas of a server have in common.
type deployment struct {
	api         *kenbuntest.API
	redis       *kenbuntest.Redis
	environment []string
	ada, ben    string
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{api: kenbuntest.Start(t), redis: kenbuntest.StartRedis(t)}
	d.ada, d.ben = d.api.User(t, "ada@example.com", authority.RoleMember), d.api.User(t, "ben@example.com", authority.RoleMember)
	d.environment = kenbuntest.Environment(t, "KENBUN_API_URL="+d.api.URL, "KENBUN_STATE="+d.redis.URL(),
		"KENBUN_STATE_KEY_FILE="+filepath.Join(t.TempDir(), "key"), "KENBUN_ALLOWED_HOST=mcp.example.com", "KENBUN_LOG_LEVEL=debug")
	return d
}

// runAs runs the program as a person at a terminal does, with their own token.
func (d *deployment) runAs(t *testing.T, pat string, arguments ...string) outcome {
	t.Helper()
	return runProgram(t, knowing(t, kenbuntest.Environment(t, "KENBUN_API_URL="+d.api.URL, "KENBUN_PAT="+pat), arguments), "", arguments...)
}

// knowing has the user of an environment know the server that arguments name, as
// after a first claim.
func knowing(t *testing.T, environment, arguments []string) []string {
	t.Helper()
	at := slices.Index(arguments, "--server") + 1
	if at == 0 || at == len(arguments) {
		return environment
	}
	data := t.TempDir()
	if err := (claim.Known{Path: filepath.Join(data, "kenbun-mcp", "known-servers")}).Add(t.Context(), arguments[at]); err != nil {
		t.Fatal(err)
	}
	return append(environment, "XDG_DATA_HOME="+data)
}

func callTool(tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}}}}`, tool, arguments)
}

var claimID = regexp.MustCompile(`claim_[A-Z2-7]{26}`)

// makeClaim has a token made at a server, and returns its claim's id.
func makeClaim(t *testing.T, address, pat, name string) string {
	t.Helper()
	answer := postMCP(t, address, pat, callTool("create_token", `{"name":"`+name+`","expires":"7d"}`))
	id := claimID.FindString(answer)
	if id == "" {
		t.Fatalf("no claim in %s", answer)
	}
	return id
}

// live are the names of a user's tokens that work.
func (d *deployment) live(t *testing.T) []string {
	t.Helper()
	tokens, err := d.api.As(t, d.ada).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range tokens {
		if tokens[i].Status(time.Now()) == client.StatusActive && tokens[i].Name != "first" {
			names = append(names, tokens[i].Name)
		}
	}
	return names
}

func TestClaim_MadeOnOneServerIsFetchedOnAnotherByTheCommand(t *testing.T) {
	d := newDeployment(t)
	one, oneLog := startHTTPLogged(t, d.environment)
	other, otherLog := startHTTPLogged(t, d.environment)
	id := makeClaim(t, one, d.ada, "nightly")

	server := []string{"--server", "http://" + other}
	got := d.runAs(t, d.ben, append(server, "claim", "--stdout", id)...)
	if got.code != command.ExitRefused || got.stdout != "" || !strings.Contains(got.stderr, "you have no such claim") {
		t.Errorf("another user: %d, %q, %s", got.code, got.stdout, got.stderr)
	}
	got = d.runAs(t, d.ada, append(server, "claim", "--stdout", id)...)
	value := strings.TrimSuffix(got.stdout, "\n")
	if _, err := d.api.As(t, value).Me(t.Context()); got.code != 0 || err != nil || !strings.Contains(got.stderr, `"nightly"`) || strings.Contains(got.stderr, value) {
		t.Fatalf("the user: %d, %v, %s", got.code, err, got.stderr)
	}
	again := d.runAs(t, d.ada, append(server, "claim", "--stdout", id, "--json")...)
	if again.code != command.ExitRefused || again.stdout != "" || !strings.Contains(again.stderr, "this claim was fetched already; its token was revoked") {
		t.Errorf("a second try: %d, %q, %s", again.code, again.stdout, again.stderr)
	}
	if names := d.live(t); len(names) != 0 {
		t.Errorf("there are live tokens %v", names)
	}

	id = makeClaim(t, other, d.ada, "as JSON")
	got = d.runAs(t, d.ada, "claim", "--stdout", id, "--server", "http://"+one+"/", "--json")
	var printed struct{ Name, Prefix, Token string }
	if err := json.Unmarshal([]byte(got.stdout), &printed); err != nil || printed.Name != "as JSON" || !strings.HasPrefix(printed.Token, printed.Prefix) || len(printed.Token) < 40 {
		t.Errorf("%d, %v, %s", got.code, err, got.stderr)
	}
	for where, text := range map[string]string{"the first log": oneLog(), "the second log": otherLog(), "redis": d.redis.Dump(t)} {
		for _, secret := range []string{value, printed.Token, d.ada, d.ben} {
			expectNoSecret(t, where, text, secret)
		}
	}
}

// startDoomed starts a server that is to be killed.
func startDoomed(t *testing.T, environment []string) (address string, kill func()) {
	t.Helper()
	command := exec.Command(kenbuntest.Binary(t), "http", "--listen", "127.0.0.1:0")
	command.Env = environment
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		if err := command.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = command.Wait() // it was killed
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, rest, found := strings.Cut(lines.Text(), "Serving MCP on http://"); found {
			address, _, _ = strings.Cut(rest, "/")
			go func() {
				for lines.Scan() {
					continue // so that the server can go on writing
				}
			}()
			return address, kill
		}
	}
	t.Fatal("the server did not start")
	return "", nil
}

func TestA33_KilledServersClaimsAreSweptByAnother(t *testing.T) {
	d := newDeployment(t)
	d.environment = append(d.environment, "KENBUN_CLAIM_LIFETIME=1s")
	doomed, kill := startDoomed(t, d.environment)
	startHTTP(t, d.environment)
	id := makeClaim(t, doomed, d.ada, "orphan")
	kill()
	waitUntil(t, "the token is revoked", func() bool { return len(d.live(t)) == 0 })

	// And the next start finds what nobody was there for.
	apart := append(d.environment, "KENBUN_STATE="+strings.TrimSuffix(d.redis.URL(), "0")+"1")
	alone, kill := startDoomed(t, apart)
	makeClaim(t, alone, d.ada, "second orphan")
	kill()
	next := startHTTP(t, apart)
	// No process can open the value any more: the user's next call revokes it.
	time.Sleep(1200 * time.Millisecond) // the claim's lifetime
	waitUntil(t, "the token is revoked", func() bool {
		postMCP(t, next, d.ada, callTool("whoami", `{}`))
		return len(d.live(t)) == 0
	})
	if got := d.runAs(t, d.ada, "claim", "--stdout", id, "--server", "http://"+next); got.code != command.ExitRefused {
		t.Errorf("%d, %s", got.code, got.stderr)
	}
}

func waitUntil(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come: %s", what)
		}
		time.Sleep(50 * time.Millisecond) // between looks at the API
	}
}

func TestA33_ServerWithoutItsRedisMakesNothing(t *testing.T) {
	d := newDeployment(t)
	address, log := startHTTPLogged(t, d.environment)
	id := makeClaim(t, address, d.ada, "before")
	d.redis.Stop()
	answer := postMCP(t, address, d.ada, callTool("create_token", `{"name":"after","expires":"7d"}`))
	if !strings.Contains(answer, "cannot_deliver: the store that keeps new tokens until they are fetched cannot be reached; no token was made") || strings.Contains(answer, d.redis.Address) {
		t.Errorf("the answer is %s", answer)
	}
	if names := d.live(t); len(names) != 1 || names[0] != "before" {
		t.Errorf("live are %v", names)
	}
	if got := d.runAs(t, d.ada, "claim", "--stdout", id, "--server", "http://"+address); got.code != command.ExitAPIOutOfReach || got.stdout != "" {
		t.Errorf("a claim: %d, %s", got.code, got.stderr)
	}
	if list := postMCP(t, address, d.ada, callTool("list_tokens", `{}`)); !strings.Contains(list, "before") {
		t.Errorf("what needs no state does not work: %s", list)
	}
	waitUntil(t, "the operator is told", func() bool {
		return strings.Contains(log(), "Redis cannot be used: no connection could be made")
	})
}

// answered is a call with a person's yes to the question that asked holds.
func answered(t *testing.T, asked, call string) string {
	t.Helper()
	state := regexp.MustCompile(`"requestState":"([^"]+)"`).FindStringSubmatch(asked)
	if state == nil {
		t.Fatalf("nobody is asked: %s", asked)
	}
	return strings.Replace(call, `"_meta"`,
		`"requestState":"`+state[1]+`","inputResponses":{"decision":{"action":"accept","content":{"approve":true}}},"_meta"`, 1)
}

func TestR38_A7_AnswerCountsOnceAmongReplicas(t *testing.T) {
	d := newDeployment(t)
	d.environment = append(d.environment, "KENBUN_ALLOW_NEVER_EXPIRING=true")
	one, other := startHTTP(t, d.environment), startHTTP(t, d.environment)
	never := callTool("create_token", `{"name":"for ever","expires":"never"}`)
	answer := answered(t, postMCP(t, one, d.ada, never), never)
	if stolen := postMCP(t, other, d.ben, answer); !strings.Contains(stolen, "does not count (it belongs to another question)") {
		t.Errorf("another user answers: %s", stolen)
	}
	if done := postMCP(t, other, d.ada, answer); claimID.FindString(done) == "" {
		t.Errorf("the other replica does not take the answer: %s", done)
	}
	for _, address := range []string{one, other} {
		if replayed := postMCP(t, address, d.ada, answer); !strings.Contains(replayed, "does not count (it was used before)") {
			t.Errorf("the same answer once more: %s", replayed)
		}
	}
	if names := d.live(t); len(names) != 1 {
		t.Errorf("live are %v", names)
	}

	unused := answered(t, postMCP(t, one, d.ada, never), never)
	d.redis.Stop()
	if unchecked := postMCP(t, one, d.ada, unused); strings.Contains(unchecked, "Token created") || len(d.live(t)) != 1 {
		t.Errorf("without Redis: %s", unchecked)
	}
}

func TestR38_AnswerIsNotCountedWhileNobodyKnowsWhetherItWasUsed(t *testing.T) {
	d := newDeployment(t)
	// Nothing else of this call needs Redis.
	address := startHTTP(t, append(d.environment, "KENBUN_DELIVER=inline", "KENBUN_MAX_CHANGES_PER_MINUTE=0"))
	doomed := d.api.Token(t, "ada@example.com", "doomed", nil)
	revoke := callTool("revoke_token", `{"id":"`+doomed.ID+`"}`)
	answer := answered(t, postMCP(t, address, d.ada, revoke), revoke)
	d.redis.Stop()
	if unchecked := postMCP(t, address, d.ada, answer); !strings.Contains(unchecked, "unavailable: the answer to the question cannot be counted") || len(d.live(t)) != 1 {
		t.Errorf("without Redis: %s", unchecked)
	}
}

func TestH8_RotationByClaimKeepsTheOldToken(t *testing.T) {
	d := newDeployment(t)
	address := startHTTP(t, d.environment)
	expires := time.Now().Add(48 * time.Hour)
	old := d.api.Token(t, "ada@example.com", "import", &expires)
	rotate := callTool("rotate_token", `{"id":"`+old.ID+`"}`)
	done := postMCP(t, address, d.ada, answered(t, postMCP(t, address, d.ada, rotate), rotate))
	if claimID.FindString(done) == "" || !strings.Contains(done, "goes on working until the user has picked up the new one") {
		t.Errorf("the answer is %s", done)
	}
	if names := d.live(t); len(names) != 2 {
		t.Errorf("live are %v, want both until the new one is fetched", names)
	}
}

func TestA33_KilledServerInMemoryLeavesItsClaimsToTheJournal(t *testing.T) {
	d := &deployment{api: kenbuntest.Start(t)}
	d.ada = d.api.User(t, "ada@example.com", authority.RoleMember)
	d.environment = kenbuntest.Environment(t, "KENBUN_API_URL="+d.api.URL, "KENBUN_DELIVER=claim")
	address, kill := startDoomed(t, d.environment)
	makeClaim(t, address, d.ada, "orphan")
	id := makeClaim(t, address, d.ada, "fetched")
	if got := d.runAs(t, d.ada, "claim", "--stdout", id, "--server", "http://"+address); got.code != 0 {
		t.Fatalf("%d, %s", got.code, got.stderr)
	}
	kill()
	next := startHTTP(t, d.environment)
	postMCP(t, next, d.ada, callTool("list_tokens", `{}`))
	waitUntil(t, "the token that nobody holds is revoked", func() bool {
		names := d.live(t)
		return len(names) == 1 && names[0] == "fetched"
	})
}

func TestA33_ServerInMemoryRevokesAtItsEndWhatWaits(t *testing.T) {
	require.Long(t, "it runs the built program")
	api := kenbuntest.Start(t)
	d := &deployment{api: api, ada: api.User(t, "ada@example.com", authority.RoleMember)}
	t.Run("serving", func(t *testing.T) {
		address := startHTTP(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL), "--deliver", "claim")
		id := makeClaim(t, address, d.ada, "waiting")
		answer := postMCP(t, address, d.ada, callTool("create_token", `{"name":"second","expires":"7d"}`))
		if !strings.Contains(answer, "http://"+address+"/claim/claim_") {
			t.Errorf("the person is not told the page's address: %s", answer)
		}
		if got := d.runAs(t, d.ada, "claim", "--stdout", id, "--server", "http://"+address); got.code != 0 {
			t.Errorf("%d, %s", got.code, got.stderr)
		}
		if names := d.live(t); len(names) != 2 {
			t.Errorf("live are %v", names)
		}
	})
	if names := d.live(t); len(names) != 1 || names[0] != "waiting" {
		t.Errorf("after its end %v live, want the one that was fetched", names)
	}
}

func TestClaim_WrongUse(t *testing.T) {
	id := "claim_" + strings.Repeat("A", 26)
	for name, c := range map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"no key":              {[]string{"http", "--state", "redis://127.0.0.1:1"}, command.ExitUsage, "--state-key-file"},
		"no address":          {[]string{"http", "--state", "disk"}, command.ExitUsage, "--state"},
		"Redis is not there":  {[]string{"http", "--state", "redis://:" + "hidden" + "@127.0.0.1:1", "--state-key-file", filepath.Join(t.TempDir(), "key")}, command.ExitFailed, "Redis cannot be used: no connection could be made"},
		"too long":            {[]string{"http", "--claim-lifetime", "11m"}, command.ExitUsage, "up to 10m"},
		"no time":             {[]string{"http", "--claim-lifetime", "0"}, command.ExitUsage, "up to 10m"},
		"own identity":        {[]string{"http", "--identity", "server", "--deliver", "claim"}, command.ExitUsage, "--identity caller"},
		"stdio":               {[]string{"stdio", "--deliver", "claim"}, command.ExitUsage, "kenbun-mcp http"},
		"public URL":          {[]string{"http", "--public-url", "http://mcp.example.com"}, command.ExitUsage, "must be https"},
		"no public URL":       {[]string{"http", "--public-url", "x"}, command.ExitUsage, "--public-url is not an address"},
		"no id":               {[]string{"claim"}, command.ExitUsage, "give the id of the claim"},
		"another id":          {[]string{"claim", "--stdout", "pat_1", "--server", "https://x"}, command.ExitUsage, "that is no claim's id"},
		"no server":           {[]string{"claim", "--stdout", id}, command.ExitUsage, "--server is missing"},
		"an unknown server":   {[]string{"claim", "--stdout", id, "--server", "https://mcp.example.com"}, command.ExitRefused, "you have not fetched a claim at mcp.example.com before"},
		"a page's address":    {[]string{"claim", "--stdout", "https://mcp.example.com/claim/" + id}, command.ExitRefused, "you have not fetched a claim at mcp.example.com before"},
		"a page and a server": {[]string{"claim", "--stdout", "https://mcp.example.com/claim/" + id, "--server", "https://x"}, command.ExitUsage, "but not both"},
		"sealed, a server":    {[]string{"claim", "--stdout", "--sealed", "-i", "x", "--server", "https://x"}, command.ExitUsage, "sends nothing to anybody"},
		"plain HTTP":          {[]string{"claim", "--stdout", id, "--server", "http://mcp.example.com"}, command.ExitUsage, "must begin with https://"},
		"out of reach":        {[]string{"claim", "--stdout", id, "--server", "http://127.0.0.1:1"}, command.ExitAPIOutOfReach, "nothing was sent"},
		"sealed, no key":      {[]string{"claim", "--stdout", "--sealed"}, command.ExitUsage, "--identity-file is missing"},
		"sealed, no file":     {[]string{"claim", "--stdout", "--sealed", "-i", "nowhere"}, command.ExitFailed, "read the identity file"},
		"sealed, not there":   {[]string{"claim", "--stdout", "--sealed", "nowhere", "-i", "nowhere"}, command.ExitFailed, "open the sealed token"},
	} {
		t.Run(name, func(t *testing.T) {
			environment := kenbuntest.Environment(t, "KENBUN_PAT="+"kbn"+"_pat_"+strings.Repeat("a", 46))
			if name == "out of reach" {
				environment = knowing(t, environment, c.arguments)
			}
			got := runProgram(t, environment, "", c.arguments...)
			if got.code != c.code || !strings.Contains(got.stderr, c.says) || got.stdout != "" || strings.Contains(got.stderr, "hidden") {
				t.Errorf("exit %d, %q, %s", got.code, got.stdout, got.stderr)
			}
		})
	}
	arguments := []string{"claim", "--stdout", id, "--server", "http://127.0.0.1:1"}
	if got := runProgram(t, knowing(t, kenbuntest.Environment(t), arguments), "", arguments...); got.code != command.ExitUnauthenticated {
		t.Errorf("without a token: exit %d, %s", got.code, got.stderr)
	}
}

func TestClaim_OpensWhatIsSealed(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	value, own := client.NewSecret("kbn"+"_pat_"+strings.Repeat("s", 46)), "kbn"+"_pat_"+strings.Repeat("o", 46)
	deliver := func(pat string) string {
		t.Helper()
		return sealedTo(t, identity.Recipient(), pat, value)
	}
	receipt := deliver(own)
	dir := t.TempDir()
	identities, sealed := filepath.Join(dir, "identity.txt"), filepath.Join(dir, "token.age")
	for file, content := range map[string]string{identities: identity.String() + "\n", sealed: receipt} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, got := range map[string]outcome{
		"a file":         runProgram(t, kenbuntest.Environment(t, "KENBUN_PAT="+own), "", "claim", "--stdout", "--sealed", sealed, "--identity-file", identities),
		"standard input": runProgram(t, kenbuntest.Environment(t, "KENBUN_PAT="+own), receipt, "claim", "--stdout", "--sealed", "-i", identities),
	} {
		if got.code != 0 || got.stdout != value.Reveal()+"\n" || strings.Contains(got.stderr, value.Reveal()) ||
			!strings.Contains(got.stderr, `the token "nightly" (id pat_1, `+value.Prefix()+`…), sealed by mcp.example.com`) {
			t.Errorf("%s: exit %d, %s", name, got.code, got.stderr)
		}
	}
	// Anybody who knows the recipient can seal something to it.
	for name, c := range map[string]struct{ pat, text string }{
		"sealed without the user's token": {own, deliver("kbn" + "_pat_" + strings.Repeat("x", 46))},
		"without a token at home":         {"", receipt},
		"by plain age":                    {own, plainAge(t, identity.Recipient(), value.Reveal())},
	} {
		got := runProgram(t, kenbuntest.Environment(t, "KENBUN_PAT="+c.pat), c.text, "claim", "--stdout", "--sealed", "-i", identities)
		if got.code != command.ExitRefused || got.stdout != "" || !strings.Contains(got.stderr, "your own token does not confirm who sealed this") {
			t.Errorf("%s: exit %d, %q, %s", name, got.code, got.stdout, got.stderr)
		}
	}
	// Plain age opens the text to the value alone.
	if opened := withPlainAge(t, identity, receipt); opened != value.Reveal() {
		t.Errorf("plain age opens %d characters", len(opened))
	}
	got := runProgram(t, kenbuntest.Environment(t, "KENBUN_PAT="+own), "", "claim", "--stdout", "--sealed", sealed, "-i", identities, "--json")
	var printed map[string]string
	if err := json.NewDecoder(bytes.NewBufferString(got.stdout)).Decode(&printed); err != nil || printed["token"] != value.Reveal() || printed["server"] != "mcp.example.com" {
		t.Errorf("exit %d, %v, %s", got.code, err, got.stderr)
	}
}

// sealedTo returns the token "nightly" as a server seals it for the user of pat.
func sealedTo(t *testing.T, recipient *age.X25519Recipient, pat string, value client.Secret) string {
	t.Helper()
	api, err := client.New(client.WithBaseURL("http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := delivery.WithServerName(delivery.WithRecipient(t.Context(), recipient.String()), "mcp.example.com")
	receipt, err := delivery.Sealed{}.Deliver(ctx, tools.Caller{API: api.As(client.Credential{PAT: client.NewSecret(pat)})},
		&client.CreatedToken{Token: client.Token{ID: "pat_1", Name: "nightly", Prefix: value.Prefix()}, Value: value})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Sealed
}

func plainAge(t *testing.T, to age.Recipient, value string) string {
	t.Helper()
	var text bytes.Buffer
	wrapped := armor.NewWriter(&text)
	encrypted, err := age.Encrypt(wrapped, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(encrypted, value); err != nil {
		t.Fatal(err)
	}
	mustDo(t, encrypted.Close(), wrapped.Close())
	return text.String()
}

func withPlainAge(t *testing.T, identity age.Identity, text string) string {
	t.Helper()
	opened, err := age.Decrypt(armor.NewReader(strings.NewReader(text)), identity)
	if err != nil {
		t.Fatal(err)
	}
	value, err := io.ReadAll(opened)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// The command tells of a narrowed token what the page tells of it.
func TestS4_TheClaimCommandTellsWhatANewTokenMayDo(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	address, _ := startHTTPLogged(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_API_EXTENSIONS=true"))
	begin := time.Now().Add(48*time.Hour + time.Minute).UTC().Format(time.RFC3339)
	fetch := func(arguments ...string) outcome {
		t.Helper()
		answer := postMCP(t, address, pat, callTool("create_token", `{"name":"import","expires":"7d","valid_from":"`+begin+`","permissions":["read:tokens"]}`))
		id := claimID.FindString(answer)
		if id == "" {
			t.Fatalf("no claim in %s", answer)
		}
		whole := append([]string{"claim", "--stdout", id, "--server", "http://" + address}, arguments...)
		got := runProgram(t, knowing(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat), whole), "", whole...)
		if got.code != command.ExitDone {
			t.Fatalf("exit code %d: %s", got.code, got.stderr)
		}
		return got
	}
	var printed struct {
		Status      string
		CreatedAt   time.Time `json:"created_at"`
		ValidFrom   string    `json:"valid_from"`
		Permissions []string
	}
	err := json.Unmarshal([]byte(fetch("--json").stdout), &printed)
	if err != nil || printed.Status != "not_yet_valid" || printed.CreatedAt.IsZero() || printed.ValidFrom != begin || !slices.Equal(printed.Permissions, []string{"read:tokens"}) {
		t.Errorf("as JSON: %+v, %v", printed, err)
	}
	if said := fetch().stderr; !strings.Contains(said, "becomes valid in 2 days, only read:tokens.") {
		t.Errorf("in words: %s", said)
	}
}
