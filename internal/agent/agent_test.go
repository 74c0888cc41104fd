package agent_test

import (
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/agent"
)

func nobody() [][]string { return nil }

func TestAnAgentIsKnownByTheVariablesThatItSets(t *testing.T) {
	for variable, name := range map[string]string{
		"CLAUDECODE=1": "Claude Code", "CURSOR_AGENT=1": "Cursor", "CURSOR_EXTENSION_HOST_ROLE=agent-exec": "Cursor", "GEMINI_CLI=1": "Gemini CLI",
		"CODEX_SANDBOX=seatbelt": "Codex", "CODEX_SANDBOX_NETWORK_DISABLED=1": "Codex", "CODEX_THREAD_ID=019ddc81": "Codex", "CODEX_CI=1": "Codex",
		"COPILOT_AGENT=1": "GitHub Copilot", "COPILOT_CLI=1": "GitHub Copilot", "COPILOT_AGENT_SESSION_ID=5aac": "GitHub Copilot", "OPENCODE=1": "OpenCode",
		"AMP_CURRENT_THREAD_ID=T-1": "Amp", "AUGMENT_AGENT=1": "Augment", "ANTIGRAVITY_AGENT=1": "Antigravity", "GOOSE_TERMINAL=1": "Goose",
		"CLINE_ACTIVE=true": "Cline", "ROO_ACTIVE=true": "Roo Code", "CRUSH=1": "Crush", "AI_AGENT=github_copilot_vscode_agent": "an AI agent",
		"AGENT=goose": "Goose", "AGENT=amp": "Amp", "AGENT=claude-code@2.1": "Claude Code", "AGENT=gemini-cli": "Gemini CLI",
	} {
		found, ok := agent.Detect([]string{"PATH=/bin", variable, "TERM=xterm"}, func() [][]string {
			t.Errorf("%s: the processes were looked at all the same", variable)
			return nil
		})
		if sign, _, _ := strings.Cut(variable, "="); !ok || found.Name != name || !strings.Contains(found.Sign, sign) {
			t.Errorf("%s: %+v, %t", variable, found, ok)
		}
	}
}

// A person types in the terminals of editors that have an agent, too.
func TestAPersonsTerminalIsNoAgent(t *testing.T) {
	for name, environment := range map[string][]string{
		"a plain one": {"TERM=xterm-256color", "SHELL=/bin/bash"},
		"VS Code with the extensions of Claude Code and Copilot": {"TERM_PROGRAM=vscode", "VSCODE_INJECTION=1", "CLAUDE_CODE_SSE_PORT=41234", "ENABLE_IDE_INTEGRATION=true", "COPILOT_OTEL=1"},
		"Cursor":                          {"TERM_PROGRAM=vscode", "CURSOR_TRACE_ID=8e1f", "CURSOR_EXTENSION_HOST_ROLE=local"},
		"Zed":                             {"TERM_PROGRAM=zed", "ZED_TERM=true"},
		"settings of the user for agents": {"CODEX_HOME=/home/ada/.codex", "CLAUDE_CODE_USE_BEDROCK=1", "AIDER_MODEL=x", "GEMINI_API_KEY=x", "GOOSE_MODEL=x"},
		"other uses of AGENT":             {"AGENT=jenkins-7", "AGENT_ID=3", "SSH_AGENT_PID=4"},
		"switched off":                    {"CLAUDECODE=", "GEMINI_CLI=0", "AI_AGENT=false"},
	} {
		if found, ok := agent.Detect(environment, nobody); ok {
			t.Errorf("%s counts as %+v", name, found)
		}
	}
}

func TestAnAgentIsKnownByItsProcess(t *testing.T) {
	shell := []string{"/bin/bash", "-c", "kenbun-mcp tokens create x"}
	for line, name := range map[string]string{
		"claude": "Claude Code", "/usr/local/bin/codex exec": "Codex", `C:\Tools\opencode.exe`: "OpenCode", "cursor-agent -p": "Cursor",
		"node /usr/bin/gemini --yolo": "Gemini CLI", "/usr/bin/python3.12 /home/ada/.local/bin/aider": "aider",
		"node --no-warnings /usr/lib/node_modules/@google/gemini-cli/dist/index.js": "Gemini CLI",
	} {
		found, ok := agent.Detect(nil, func() [][]string { return [][]string{shell, strings.Fields(line), {"/sbin/init"}} })
		if !ok || found.Name != name {
			t.Errorf("%s: %+v, %t", line, found, ok)
		}
	}
	for _, line := range []string{
		"/bin/bash", "-zsh", "vim claude", "bash /home/ada/claude", "/Applications/Cursor.app/Contents/MacOS/Cursor", "cursor", "code --type=renderer",
		"node server.js", "python3 manage.py codex", "/usr/bin/claude-desktop", "tail -f codex",
	} {
		if found, ok := agent.Detect(nil, func() [][]string { return [][]string{strings.Fields(line)} }); ok {
			t.Errorf("%s counts as %+v", line, found)
		}
	}
}

func TestTheAncestorsOfThisProcessAreFound(t *testing.T) {
	lists := agent.Ancestors()
	if len(lists) == 0 || len(lists) > 32 || lists[0][0] == "" {
		t.Errorf("the processes above this one are %q", lists)
	}
}
