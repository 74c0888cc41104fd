// Package agent finds out whether an AI agent runs this program from its shell.
//
// It protects users of helpful agents. A hostile one can unset variables and
// start a process that has other parents.
package agent

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Agent is a known agent and what gave it away.
type Agent struct {
	// Name is how people call it, such as "Claude Code".
	Name string
	// Sign is what it was known by, such as "the variable CLAUDECODE".
	Sign string
}

// variables are what agents set in the shells that they run, and in no terminal
// that a person opens. Left out on purpose, since editors set them in such a
// terminal too: CURSOR_TRACE_ID (github.com/vercel-labs/skills, pull 1549;
// github.com/web-infra-dev/rstest, pull 994) and CLAUDE_CODE_SSE_PORT. So are
// settings of users, such as CODEX_HOME, CLAUDE_CODE_USE_BEDROCK and AIDER_MODEL.
var variables = []struct{ name, agent, value string }{
	{"CLAUDECODE", "Claude Code", ""},                      // code.claude.com/docs/en/env-vars
	{"CURSOR_AGENT", "Cursor", ""},                         // github.com/cursor/cursor, issue 3612
	{"CURSOR_EXTENSION_HOST_ROLE", "Cursor", "agent-exec"}, // github.com/vercel-labs/skills, pull 1549
	{"GEMINI_CLI", "Gemini CLI", ""},                       // google-gemini.github.io/gemini-cli/docs/tools/shell.html
	{"CODEX_SANDBOX", "Codex", ""},                         // these four: github.com/stripe/stripe-cli, pull 1455
	{"CODEX_SANDBOX_NETWORK_DISABLED", "Codex", ""},
	{"CODEX_THREAD_ID", "Codex", ""},
	{"CODEX_CI", "Codex", ""},
	{"COPILOT_AGENT", "GitHub Copilot", ""}, // github.com/microsoft/vscode, pull 316267
	{"COPILOT_CLI", "GitHub Copilot", ""},   // these two: github.com/watson/is-ci, issue 28
	{"COPILOT_AGENT_SESSION_ID", "GitHub Copilot", ""},
	{"OPENCODE", "OpenCode", ""}, // this and the next three: github.com/microsoft/vscode, issue 311734
	{"AMP_CURRENT_THREAD_ID", "Amp", ""},
	{"AUGMENT_AGENT", "Augment", ""},
	{"ANTIGRAVITY_AGENT", "Antigravity", ""},
	{"GOOSE_TERMINAL", "Goose", ""}, // github.com/aaif-goose/goose, pull 4205
	{"CLINE_ACTIVE", "Cline", ""},   // github.com/railwayapp/cli, pull 890
	{"ROO_ACTIVE", "Roo Code", ""},  // github.com/RooCodeInc/Roo-Code, pull 11862
	{"CRUSH", "Crush", ""},          // github.com/charmbracelet/crush, pull 2484
}

// agentVariable names the agent in its value. Any value counts
// (github.com/vercel/vercel, packages/detect-agent; microsoft/vscode, pull 320129).
const agentVariable = "AI_AGENT"

// sharedVariable names the agent too, but other programs use it for other things:
// only the names of agents count (github.com/aaif-goose/goose, pull 7017).
const sharedVariable = "AGENT"

// programs are the names that agents' processes have. Editors are not among
// them: a person types in their terminals too.
var programs = map[string]string{
	"claude": "Claude Code", "cursor-agent": "Cursor", "gemini": "Gemini CLI", "codex": "Codex", "copilot": "GitHub Copilot",
	"opencode": "OpenCode", "amp": "Amp", "auggie": "Augment", "goose": "Goose", "cline": "Cline", "crush": "Crush",
	"aider": "aider", "qwen": "Qwen Code",
}

// packages are the folders that agents which run in an interpreter are installed
// in, where the script in it says nothing (dist/index.js).
var packages = map[string]string{
	"@anthropic-ai/claude-code": "Claude Code", "@google/gemini-cli": "Gemini CLI", "@openai/codex": "Codex",
	"@github/copilot": "GitHub Copilot", "@sourcegraph/amp": "Amp", "@augmentcode/auggie": "Augment", "@qwen-code/qwen-code": "Qwen Code",
	"opencode-ai": "OpenCode",
}

// Detect returns the agent that a process has over it: by the process's
// environment, as os.Environ returns it, or by the argument lists of its
// ancestors, which are asked for only where the environment shows nothing.
func Detect(environment []string, ancestors func() [][]string) (Agent, bool) {
	if agent, found := inEnvironment(environment); found {
		return agent, true
	}
	for _, arguments := range ancestors() {
		if name := ofProcess(arguments); name != "" {
			return Agent{Name: name, Sign: "one of the processes that started this one"}, true
		}
	}
	return Agent{}, false
}

func inEnvironment(environment []string) (Agent, bool) {
	values := map[string]string{}
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	for _, known := range variables {
		if value := values[known.name]; isOn(value) && (known.value == "" || known.value == value) {
			return Agent{known.agent, "the variable " + known.name}, true
		}
	}
	if value := values[agentVariable]; isOn(value) {
		return Agent{"an AI agent", "the variable " + agentVariable}, true
	}
	name := strings.ToLower(values[sharedVariable])
	if end := strings.IndexAny(name, "@_/ "); end >= 0 {
		name = name[:end]
	}
	for _, agent := range []string{name, strings.TrimSuffix(name, "-code"), strings.TrimSuffix(name, "-cli")} {
		if known, ok := programs[agent]; ok {
			return Agent{known, "the variable " + sharedVariable}, true
		}
	}
	return Agent{}, false
}

// isOn reports whether a variable is set to something that is not a no.
func isOn(value string) bool {
	return !slices.Contains([]string{"", "0", "false", "no", "off"}, strings.ToLower(strings.TrimSpace(value)))
}

// ofProcess returns the name of the agent that has these arguments, "" for anything else.
func ofProcess(arguments []string) string {
	for i, argument := range arguments {
		program := programName(argument)
		if name, ok := programs[program]; ok {
			return name
		}
		for folder, name := range packages {
			if strings.Contains(slashes(argument), "node_modules/"+folder+"/") {
				return name
			}
		}
		// An interpreter's script is the first argument that is not an option.
		if i == 0 && !isInterpreter(program) || i > 0 && !strings.HasPrefix(argument, "-") {
			return ""
		}
	}
	return ""
}

func isInterpreter(program string) bool {
	return slices.Contains([]string{"node", "bun", "deno", "python", "python3", "uv", "npx"}, program) || strings.HasPrefix(program, "python3.")
}

// programName is the last part of a path, without what a system or a language adds to it.
func programName(argument string) string {
	name := strings.TrimPrefix(path.Base(slashes(argument)), "-") // a login shell
	for _, ending := range []string{".exe", ".js", ".mjs", ".cjs", ".py"} {
		name = strings.TrimSuffix(name, ending)
	}
	return name
}

func slashes(argument string) string { return strings.ReplaceAll(argument, `\`, "/") }

// maxAncestors bounds how far up the tree of processes is looked at.
const maxAncestors = 32

// lookingLimit bounds how long it takes, where another program has to be asked.
const lookingLimit = 2 * time.Second

// maxArguments bounds how much of one argument list is read, in bytes.
const maxArguments = 8 << 10

// Ancestors returns the argument lists of the processes above this one, the
// parent first: at most 32, and none where the system does not show them.
func Ancestors() [][]string {
	ctx, cancel := context.WithTimeout(context.Background(), lookingLimit)
	defer cancel()
	look := lookUp(ctx)
	var lists [][]string
	for pid, n := os.Getppid(), 0; pid > 1 && n < maxAncestors; n++ {
		parent, arguments, ok := look(pid)
		if !ok {
			break
		}
		if len(arguments) > 0 {
			lists = append(lists, arguments)
		}
		pid = parent
	}
	return lists
}
