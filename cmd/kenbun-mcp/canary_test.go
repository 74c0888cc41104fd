package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// disguises are the forms in which a secret may slip out.
func disguises(secret string) map[string]string {
	half := len(secret) / 2
	reversed := []byte(secret)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return map[string]string{
		"plain": secret, "first half": secret[:half], "second half": secret[half:], "reversed": string(reversed),
		"base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "base64, URL": base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"base64, shifted by 1": base64.RawStdEncoding.EncodeToString([]byte(" " + secret))[4:40],
		"base64, shifted by 2": base64.RawStdEncoding.EncodeToString([]byte("  " + secret))[4:40],
		"hex":                  hex.EncodeToString([]byte(secret)),
		"escaped":              strings.ToLower(url.QueryEscape("=" + secret + "=")),
	}
}

// expectNoSecret fails if text holds the secret part of value in any disguise.
// The first 16 characters of a token are public.
func expectNoSecret(t *testing.T, where, text, value string) {
	t.Helper()
	for disguise, form := range disguises(value[16:]) {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			t.Errorf("%s holds the secret, %s", where, disguise)
		}
	}
}

func TestR1_SecretsAreInNothingThatLeftTheProcess(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	folder := filepath.Join(t.TempDir(), "tokens")
	auditLog := filepath.Join(t.TempDir(), "audit.log")
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat,
		"KENBUN_DELIVER=file", "KENBUN_DELIVER_DIR="+folder, "KENBUN_LOG_LEVEL=debug", "KENBUN_ALLOW_SELF_REVOKE=true", "KENBUN_AUDIT_LOG="+auditLog, "KENBUN_API_EXTENSIONS=true", "KENBUN_MAX_CHANGES_PER_MINUTE=0")

	listed, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := listed[0].ID
	calls := []string{
		`"whoami","arguments":{}`, `"list_tokens","arguments":{"status":"all"}`,
		`"create_token","arguments":{"name":"canary","expires":"30d"}`,
		`"create_token","arguments":{"name":"` + pat + `","expires":"30"}`,
		`"create_token","arguments":{"name":"never","expires":"never"}`,
		`"revoke_token","arguments":{"id":"pat_unknown"}`, `"revoke_token","arguments":{"id":"` + pat + `"}`,
		`"list_tokens","arguments":{"cursor":"` + pat + `"}`, `"list_tokens","arguments":{"status":"` + pat + `"}`,
		`"create_token","arguments":{"name":"narrow","expires":"30d","valid_from":"` + pat + `"}`,
		`"create_token","arguments":{"name":"narrow","expires":"30d","permissions":["` + pat + `"]}`,
		`"update_token","arguments":{"id":"` + pat + `","name":"x"}`, `"update_token","arguments":{"id":"pat_unknown","name":"` + pat + `"}`,
		`"update_token","arguments":{"id":"` + own + `","name":"canary's own"}`, `"update_token","arguments":{"id":"` + own + `","permissions":["` + pat + `"]}`,
		`"list_tokens","arguments":{"` + pat + `":1}`, `"unknown","arguments":{}`,
	}
	var legacy, modern strings.Builder
	legacy.WriteString(initialize)
	for i, call := range calls {
		fmt.Fprintf(&legacy, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%s}}`+"\n", i+2, call)
		fmt.Fprintf(&modern, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%s,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}}`+"\n", i+2, call)
	}
	outputs := map[string]string{}
	for name, input := range map[string]string{"legacy": legacy.String(), "modern": modern.String()} {
		got := runProgram(t, environment, input, "stdio")
		outputs["standard output, "+name], outputs["standard error, "+name] = got.stdout, got.stderr
	}
	for name, arguments := range map[string][]string{
		"whoami": {"whoami", "--json"}, "list": {"tokens", "list", "--status", "all"}, "revoke": {"tokens", "revoke", "pat_x"},
	} {
		got := runProgram(t, environment, "", arguments...)
		outputs["the command "+name] = got.stdout + got.stderr
	}
	address, log := startHTTPLogged(t, environment)
	for i, body := range strings.Split(strings.TrimSpace(modern.String()), "\n") {
		outputs[fmt.Sprintf("HTTP answer %d", i)] = postMCP(t, address, pat, body)
	}

	made, err := filepath.Glob(filepath.Join(folder, "*.token"))
	if err != nil || len(made) != 3 {
		t.Fatalf("%d files were delivered, want 3 (%v)", len(made), err)
	}
	secrets := []string{pat}
	for _, file := range made {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		secret := strings.TrimSpace(string(content))
		if _, err := api.As(t, secret).Me(t.Context()); err != nil {
			t.Errorf("the delivered token does not work: %v", err)
		}
		secrets = append(secrets, secret)
	}
	outputs["the log of the HTTP server"] = log()
	outputs["the output in the audit log"] = readFile(t, auditLog)
	for where, text := range outputs {
		if text == "" && strings.Contains(where, "output") {
			t.Errorf("%s is empty: nothing was tried", where)
		}
		for _, secret := range secrets {
			expectNoSecret(t, where, text, secret)
		}
	}
}

func postMCP(t *testing.T, address, pat, body string) string {
	t.Helper()
	return postMCPWith(t, address, pat, body, [2]string{})
}

// postMCPWith also sends a header of the caller's.
func postMCPWith(t *testing.T, address, pat, body string, header [2]string) string {
	t.Helper()
	var message struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	if err := json.Unmarshal([]byte(body), &message); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + pat,
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message.Method, "Mcp-Name": message.Params.Name,
	} {
		request.Header.Set(name, value)
	}
	if header[0] != "" {
		request.Header.Set(header[0], header[1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := response.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
