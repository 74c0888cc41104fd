package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/serve"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/marks"
)

func TestP14_ATokenIsReadThroughTheMarksAroundIt(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	for name, marked := range marks.Around(pat) {
		if strings.HasPrefix(marked, " \t") {
			marked = strings.TrimRight(marked, "\n") + "\n" // login reads one line
		}
		got := runProgram(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL), marked, "login")
		if got.code != command.ExitDone {
			t.Errorf("login, %s: exit code %d, %s", name, got.code, got.stderr)
		}
		expectNoSecret(t, "login", got.stdout+got.stderr, pat)
	}
	marked := marks.AroundVariable(pat)["byte order mark"]
	if got := runProgram(t, kenbuntest.Environment(t, "KENBUN_API_URL=\uFEFF "+api.URL+"/\u00a0", "KENBUN_PAT="+marked), "", "whoami"); got.code != command.ExitDone {
		t.Errorf("the variables: exit code %d, %s", got.code, got.stderr)
	}
	file := filepath.Join(t.TempDir(), "token")
	mustDo(t, os.WriteFile(file, []byte(pat[:20]+"\u200b"+pat[20:]), 0o600))
	got := runProgram(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT_FILE="+file), "", "whoami")
	if got.code != command.ExitUnauthenticated || !strings.Contains(got.stderr, "a character in it") {
		t.Errorf("a mark within: exit code %d, %s", got.code, got.stderr)
	}
}

func TestP14_APolicyFileIsReadInEachFormThatEditorsWrite(t *testing.T) {
	for _, name := range []string{"byte order mark", "UTF-16 of Windows", "UTF-16, no mark"} {
		environment := withPolicy(t, marks.Around("exclude-tools: [revoke_token, ]\r\napproval: \"deny \"\r\n")[name], 0o600)
		if got := listedTools(t, environment); slices.Contains(got, "revoke_token") || slices.Contains(got, "rotate_token") || !slices.Contains(got, "whoami") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestP14_MarksInAnIdentityFileAndASealedTokenAreTrimmed(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	mustDo(t, err)
	own, value := "kbn"+"_pat_"+strings.Repeat("o", 46), client.NewSecret("kbn"+"_pat_"+strings.Repeat("s", 46))
	sealed := marks.Around(sealedTo(t, identity.Recipient(), own, value))
	for name, marked := range marks.Around("# created by age-keygen\r\n" + identity.String()) {
		folder := t.TempDir()
		mustDo(t, os.WriteFile(filepath.Join(folder, "identity"), []byte(marked), 0o600), os.WriteFile(filepath.Join(folder, "sealed"), []byte(sealed[name]), 0o600))
		got := runProgram(t, kenbuntest.Environment(t, "KENBUN_PAT="+own), "", "claim", "--stdout", "--sealed", filepath.Join(folder, "sealed"), "-i", filepath.Join(folder, "identity"))
		if got.code != command.ExitDone || got.stdout != value.Reveal()+"\n" {
			t.Errorf("%s: exit code %d, %s", name, got.code, got.stderr)
		}
	}
}

func TestP14_MarksAroundTheServersKeyAreTrimmed(t *testing.T) {
	key := "kms_" + strings.Repeat("a1B", 10)
	for name, marked := range marks.Around(key) {
		file := filepath.Join(t.TempDir(), "server.key")
		mustDo(t, os.WriteFile(file, []byte(marked), 0o600))
		got, err := serve.OpenServerKey(t.Context(), file)
		if err != nil || got.Reveal() != key {
			t.Errorf("%s: %v", name, err)
		}
	}
}
