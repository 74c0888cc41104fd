package main

import (
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestP18_AnUnknownSettingIsNamedWithTheOneThatWasMeant(t *testing.T) {
	for variable, says := range map[string]string{
		"KENBUN_TOKEN":   "Did you mean KENBUN_PAT?",
		"KENBUN_API_KEY": "Did you mean KENBUN_PAT?",
		"KENBUN_JSON":    "The flag --json has no variable",
		"KENBUN_STDOUT":  "The flag --stdout has no variable",
	} {
		t.Run(variable, func(t *testing.T) {
			got := runProgram(t, kenbuntest.Environment(t, variable+"=canary-value"), "", "stdio")
			if got.code != command.ExitDone || !strings.Contains(got.stderr, "warning: "+variable) || !strings.Contains(got.stderr, says) {
				t.Errorf("exit code %d, and standard error is %q, want %q in it", got.code, got.stderr, says)
			}
			if strings.Contains(got.stdout+got.stderr, "canary-value") {
				t.Error("the value is shown")
			}
		})
	}
}

// Who is told that there is no token is told of one that stands in the wrong place.
func TestP18_P6_ATokenUnderAnotherNameIsNamedWhereItIsMissed(t *testing.T) {
	for setting, says := range map[string]string{
		"KENBUN_TOKEN=canary-value":      "KENBUN_TOKEN is set and is not read: the setting is called KENBUN_PAT",
		"KENBUN_API_KEY=canary-value":    "KENBUN_API_KEY is set and is not read: the setting is called KENBUN_PAT",
		"kenbun_pat=canary-value":        "kenbun_pat is set and is not read: the setting is called KENBUN_PAT",
		"KENBUN_TOKEN_FILE=canary-value": "KENBUN_TOKEN_FILE is set and is not read: the setting is called KENBUN_PAT_FILE",
		"KENBUN_PAT=":                    "KENBUN_PAT is set, and is empty",
		"KENBUN_PAT_FILE= \u200b":        "KENBUN_PAT_FILE is set, and is empty",
		"KENBUN_TOKENS=":                 "",
		"KENBUN_URL=canary-value":        "",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			environment := kenbuntest.Environment(t, setting)
			answer, log := overStdio(t, environment, "whoami", "{}")
			shown := runProgram(t, environment, "", "whoami")
			for place, text := range map[string]string{"the assistant": answer.text(), "the terminal": shown.stderr} {
				if !strings.Contains(text, "no kenbun token was given") || !strings.Contains(text, says) || says == "" && (strings.Contains(text, "is not read: the setting") || strings.Contains(text, "is empty")) {
					t.Errorf("%s is told %q, want %q in it", place, text, says)
				}
			}
			if !strings.HasPrefix(answer.text(), "unauthenticated: no kenbun token") || shown.code != command.ExitUnauthenticated {
				t.Errorf("exit %d, %q", shown.code, answer.text())
			}
			if strings.Contains(answer.text()+log+shown.stderr+shown.stdout, "canary-value") {
				t.Error("the value is shown")
			}
		})
	}
	// A token that is found needs no such advice.
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	answer, _ := overStdio(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat, "KENBUN_TOKEN=canary-value"), "whoami", "{}")
	if answer.IsError || strings.Contains(answer.text(), "KENBUN_TOKEN") {
		t.Errorf("with a token: %q", answer.text())
	}
}

func TestP18_AMisspelledRestrictionEndsTheStart(t *testing.T) {
	for variable, meant := range map[string]string{
		"KENBUN_READONLY=1":   "KENBUN_READ_ONLY",
		"KENBUN_APROVAL=deny": "KENBUN_APPROVAL",
		"kenbun_read_only=1":  "KENBUN_READ_ONLY",
		"KENBUN_NO_REVOKE=1":  "",
		"KENBUN_ALLOW_AGNT=0": "",
	} {
		t.Run(variable, func(t *testing.T) {
			got := runProgram(t, kenbuntest.Environment(t, variable), initialize, "stdio")
			name, _, _ := strings.Cut(variable, "=")
			if got.code != command.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr, name+" is not a setting") {
				t.Errorf("exit code %d, answers %q, and standard error is %q", got.code, got.stdout, got.stderr)
			}
			if meant != "" && !strings.Contains(got.stderr, "Did you mean "+meant+"?") {
				t.Errorf("standard error is %q, want %s in it", got.stderr, meant)
			}
			if strings.Contains(got.stderr, command.AllowAgentVariable) {
				t.Error("an agent is told how it is allowed")
			}
		})
	}
	t.Run("http", func(t *testing.T) {
		if got := runProgram(t, kenbuntest.Environment(t, "KENBUN_ALLOWED_ORIGINS=https://a.example"), "", "http", "--listen", "127.0.0.1:0"); got.code != command.ExitUsage {
			t.Errorf("exit code %d: %s", got.code, got.stderr)
		}
	})
}

func TestP18_WhatIsNoSettingOfOursIsLeftAlone(t *testing.T) {
	environment := kenbuntest.Environment(t,
		"KENBUN_READONLY=", "KENBUN_TOOLS=", "KENBUN_LISTEN=127.0.0.1:1", "KENBUN_WEB_URL=of another command", "OTHER_READONLY=1",
		"KENBUN_MCP_SERVICE_HOST=10.0.0.1", "KENBUN_TOOLS_PORT=tcp://10.0.0.1:8765")
	if got := runProgram(t, environment, "", "stdio"); got.code != command.ExitDone || got.stderr != "" {
		t.Errorf("exit code %d, and standard error is %q", got.code, got.stderr)
	}
	for _, words := range [][]string{{"version"}, {"completion", "bash"}, {"help", "tokens"}, {"__complete", "tok"}} {
		if got := runProgram(t, kenbuntest.Environment(t, "KENBUN_READONLY=1"), "", words...); got.code != command.ExitDone || strings.Contains(got.stderr, "READONLY") {
			t.Errorf("%v: exit code %d, and standard error is %q", words, got.code, got.stderr)
		}
	}
}
