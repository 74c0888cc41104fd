package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}` + "\n"

func toolCall(id int, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`+"\n", id, tool, arguments)
}

func resultOf(t *testing.T, raw json.RawMessage) toolResult {
	t.Helper()
	var result toolResult
	if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return result
}

func TestStdioAnswersAllThatCameBeforeTheEndOfInput(t *testing.T) {
	for range 10 {
		got := runProgram(t, kenbuntest.Environment(t),
			initialize+`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`+"\n"+strings.TrimSuffix(toolCall(3, "whoami", "{}"), "\n"),
			"stdio", "--embedded")
		if got.code != 0 {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		byID := answers(t, got.stdout)
		if len(byID) != 3 {
			t.Fatalf("%d answers, want 3: %s", len(byID), got.stdout)
		}
		if who := resultOf(t, byID["3"]); who.IsError || !strings.Contains(who.text(), "role: owner") {
			t.Errorf("whoami answered %q", who.text())
		}
	}
}

func TestEmbeddedKeepsWhatWasMade(t *testing.T) {
	environment := kenbuntest.Environment(t)
	got := runProgram(t, environment, initialize+toolCall(2, "create_token", `{"name":"kept","expires":"30d"}`), "stdio", "--embedded")
	created := resultOf(t, answers(t, got.stdout)["2"])
	if created.IsError {
		t.Fatal(created.text())
	}
	list := runProgram(t, environment, "", "tokens", "list", "--embedded", "--json")
	if !strings.Contains(list.stdout, created.Structured.ID) {
		t.Errorf("the token is gone in the next process: %s", list.stdout)
	}
}

func TestWithoutATokenTheServerStartsAndToolsSayHowToGiveOne(t *testing.T) {
	got := runProgram(t, kenbuntest.Environment(t), initialize+toolCall(2, "whoami", "{}")+toolCall(3, "list_tokens", "{}")+
		toolCall(4, "create_token", `{"name":"x","expires":"1d"}`)+toolCall(5, "revoke_token", `{"id":"pat_1"}`), "stdio")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	byID := answers(t, got.stdout)
	for _, id := range []string{"2", "3", "4", "5"} {
		result := resultOf(t, byID[id])
		if !result.IsError || !strings.HasPrefix(result.text(), "unauthenticated: ") || !strings.Contains(result.text(), "KENBUN_PAT_FILE") {
			t.Errorf("call %s was answered with %q", id, result.text())
		}
	}
}

func TestAMalformedTokenIsNamedAndNeverShown(t *testing.T) {
	secret := "kbn_pat_" + strings.Repeat("x9", 4)
	for name, value := range map[string]string{
		"with a space":       secret + " " + secret,
		"with a line break":  secret + "\n" + secret,
		"cut short":          secret[:12],
		"of another product": "ghp_" + strings.Repeat("a1", 18),
		"with Bearer":        "Bearer " + secret,
	} {
		t.Run(name, func(t *testing.T) {
			got := runProgram(t, append(kenbuntest.Environment(t), "KENBUN_PAT="+value), initialize+toolCall(2, "whoami", "{}"), "stdio")
			result := resultOf(t, answers(t, got.stdout)["2"])
			if !result.IsError || !strings.HasPrefix(result.text(), "unauthenticated: KENBUN_PAT: ") {
				t.Errorf("whoami answered %q", result.text())
			}
			if all := got.stdout + got.stderr; strings.Contains(all, value[5:]) {
				t.Errorf("the value is shown: %s", all)
			}
		})
	}
}
