//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestS8_RotateAtATerminal(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	ends := time.Now().Add(30 * 24 * time.Hour)
	old := api.Token(t, "dev@example.com", "import", &ends)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)

	piped := runProgram(t, environment, "y\n", "tokens", "rotate", old.ID)
	if piped.code != command.ExitRefused || piped.stdout != "" || !works(t, api, old.Value) {
		t.Fatalf("without a terminal: exit %d: %s", piped.code, piped.stderr)
	}
	shown, code := atTerminal(t, environment, 100, "n\n", "tokens", "rotate", old.ID)
	if code != command.ExitRefused || !works(t, api, old.Value) || !strings.Contains(shown, "Replace this kenbun token with a new one?") {
		t.Fatalf("after a no: exit %d:\n%s", code, shown)
	}
	shown, code = atTerminal(t, environment, 100, "y\n", "tokens", "rotate", old.ID)
	value := wholeToken.FindString(shown)
	if code != command.ExitDone || value == "" || works(t, api, old.Value) || !works(t, api, value) {
		t.Errorf("after a yes: exit %d, the old one works %t", code, works(t, api, old.Value))
	}
	tokens, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil || len(tokens) != 3 {
		t.Errorf("%d tokens, want the first, the old and the new one (%v)", len(tokens), err)
	}
}

var wholeToken = regexp.MustCompile(`kbn_pat_[0-9A-Za-z]{40,}`)

// The old token goes only when the new one was shown.
func TestS8_RotateThatCannotShowTheNewTokenKeepsTheOld(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	ends := time.Now().Add(30 * 24 * time.Hour)
	old := api.Token(t, "dev@example.com", "import", &ends)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL, "KENBUN_ID="+old.ID, "KENBUN_PROGRAM="+kenbuntest.Binary(t))
	for _, flags := range []string{"", "--json"} {
		shown, code := runAtTerminal(t, environment, 100, "y\n", exec.Command("/bin/sh", "-c", `"$KENBUN_PROGRAM" tokens rotate --stdout "$KENBUN_ID" `+flags+` > /dev/full`))
		if code == command.ExitDone || !works(t, api, old.Value) {
			t.Errorf("%q: exit %d, the old one works %t:\n%s", flags, code, works(t, api, old.Value), shown)
		}
	}
	tokens, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if token.Name == "import" && token.ID != old.ID && token.RevokedAt == nil {
			t.Error("the new token lives and nobody holds it")
		}
	}
}

func TestRotateTheTokenThatTheProgramRunsOn(t *testing.T) {
	setUp := func(t *testing.T) (api *kenbuntest.API, pat, id string) {
		api = kenbuntest.Start(t)
		pat = api.User(t, "dev@example.com", authority.RoleMember)
		tokens, err := api.As(t, pat).ListTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return api, pat, tokens[0].ID
	}
	t.Run("in a file", func(t *testing.T) {
		api, pat, id := setUp(t)
		file := filepath.Join(t.TempDir(), "pat")
		if err := os.WriteFile(file, []byte(pat+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		environment := append(kenbuntest.Environment(t), "KENBUN_PAT_FILE="+file, "KENBUN_API_URL="+api.URL)
		shown, code := atTerminal(t, environment, 100, "y\n", "tokens", "rotate", id, "--expires", "30d")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept := strings.TrimSpace(string(content))
		if code != command.ExitDone || kept == pat || !works(t, api, kept) || works(t, api, pat) {
			t.Errorf("exit %d, the file holds the old token %t, the old one works %t", code, kept == pat, works(t, api, pat))
		}
		expectNoSecret(t, "the screen", shown, kept)
		if again := runProgram(t, environment, "", "whoami"); again.code != command.ExitDone {
			t.Errorf("the next run: exit %d: %s", again.code, again.stderr)
		}
	})
	t.Run("in the environment", func(t *testing.T) {
		api, pat, id := setUp(t)
		environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
		shown, code := atTerminal(t, environment, 100, "y\n", "tokens", "rotate", id, "--expires", "30d")
		value := wholeToken.FindString(shown)
		if code != command.ExitDone || !works(t, api, pat) || value == "" || !works(t, api, value) {
			t.Errorf("exit %d, the old one works %t:\n%s", code, works(t, api, pat), strings.ReplaceAll(shown, value, "(token)"))
		}
		for _, want := range []string{"KENBUN_PAT", "was not revoked", "tokens revoke " + id} {
			if !strings.Contains(shown, want) {
				t.Errorf("the person is not told %q", want)
			}
		}
	})
}
