package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/cli"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// runIn runs the built program in a folder of its own and returns what it left
// there.
func runIn(t *testing.T, environment []string, input string, arguments ...string) (outcome, []string) {
	t.Helper()
	folder := t.TempDir()
	command := exec.Command(kenbuntest.Binary(t), arguments...)
	command.Dir, command.Env, command.Stdin = folder, environment, strings.NewReader(input)
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	var left []string
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if path != folder {
			left = append(left, path)
		}
		return err
	})
	mustDo(t, err)
	return outcome{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}, left
}

// variable returns the last value that an environment has for a name.
func variable(environment []string, name string) string {
	value := ""
	for _, entry := range environment {
		if rest, ok := strings.CutPrefix(entry, name+"="); ok {
			value = rest
		}
	}
	return value
}

func TestP15_APathFromAClientsConfigurationIsReadAsItWasMeant(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths have another form there")
	}
	environment := kenbuntest.Environment(t, "KENBUN_DELIVER_DIR=~/new tokens", "KENBUN_JOURNAL_DIR=~/journal", "KENBUN_EMBEDDED_STORE=~/api", "KENBUN_AUDIT_LOG=~/audit")
	got, left := runIn(t, environment, initialize+toolCall(2, "create_token", `{"name":"x","expires":"7d"}`), "stdio", "--embedded", "--deliver", "file")
	home := variable(environment, "HOME")
	for _, made := range []string{"new tokens/*.token", "journal", "api/kenbun.db", "audit"} {
		if found, err := filepath.Glob(filepath.Join(home, made)); err != nil || len(found) != 1 {
			t.Errorf("%s is not below the home folder: %v, %v", made, found, err)
		}
	}
	if got.code != command.ExitDone || len(left) > 0 {
		t.Errorf("exit code %d, and left here: %v\n%s%s", got.code, left, got.stdout, got.stderr)
	}
	missing, _ := runIn(t, kenbuntest.Environment(t, "HOME="+home, "KENBUN_PAT_FILE=~/none/token"), "", "whoami")
	if missing.code != command.ExitUnauthenticated || !strings.Contains(missing.stderr, filepath.Join(home, "none", "token")) {
		t.Errorf("a missing file: exit code %d, %s", missing.code, missing.stderr)
	}
}

func TestP15_AVariableThatNothingFilledInIsRefusedByNameBeforeAnythingIsWritten(t *testing.T) {
	for setting, named := range map[string]string{
		"KENBUN_DELIVER_DIR=$HOME/tokens":             "KENBUN_DELIVER_DIR: the path $HOME/tokens holds $HOME",
		"KENBUN_JOURNAL_DIR=${XDG_DATA_HOME}/journal": "KENBUN_JOURNAL_DIR: the path ${XDG_DATA_HOME}/journal holds ${XDG_DATA_HOME}",
		"KENBUN_AUDIT_LOG=${workspaceFolder}/audit":   "${workspaceFolder}",
		"KENBUN_DELIVER_ENV_FILE=%USERPROFILE%\\.env": "%USERPROFILE%",
		"KENBUN_PAT_FILE=$HOME/token":                 "$HOME",
		"KENBUN_SESSION_TOKEN_FILE=~nobody/token":     "~nobody",
		"KENBUN_CA_FILE=\"/etc/ssl/ca.pem\"":          "quotation marks",
		"KENBUN_API_URL=https://${KENBUN_HOST}":       "${KENBUN_HOST}",
		"KENBUN_APPROVAL=${APPROVAL}":                 "${APPROVAL}",
		"KENBUN_TOOLS=whoami,${MORE_TOOLS}":           "${MORE_TOOLS}",
	} {
		got, left := runIn(t, kenbuntest.Environment(t, setting), initialize, "stdio")
		if got.code != command.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr, named) || len(left) > 0 {
			t.Errorf("%s: exit code %d, left here %v, standard error %q", setting, got.code, left, got.stderr)
		}
	}
	pepper, left := runIn(t, kenbuntest.Environment(t, "KENBUN_PEPPER=${PEPPER}"), "", "authority", "user", "list", "--store", "sqlite:kenbun.db")
	if pepper.code != command.ExitUsage || !strings.Contains(pepper.stderr, "KENBUN_PEPPER: it holds ${PEPPER}") || len(left) > 0 {
		t.Errorf("exit code %d, left here %v, standard error %q", pepper.code, left, pepper.stderr)
	}
	for _, line := range []string{
		"stdio --embedded --embedded-store $HOME/api", "stdio --deliver-dir ${HOME}/x", "http --listen unix:$XDG_RUNTIME_DIR/socket --identity server",
		"http --state-key-file $CREDENTIALS_DIRECTORY/key", "authority user list --store sqlite:$HOME/kenbun.db", "audit verify $HOME/audit.log",
	} {
		got, left := runIn(t, kenbuntest.Environment(t), "", strings.Fields(line)...)
		if got.code != command.ExitUsage || !strings.Contains(got.stderr, "which nothing has filled in") || len(left) > 0 {
			t.Errorf("%s: exit code %d, left here %v, standard error %q", line, got.code, left, got.stderr)
		}
	}
}

func TestP15_EveryFlagThatTakesAPathIsReadAsOne(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			for _, ending := range []string{"-file", "-dir", "-log", "store", "-path", "-folder", "-socket"} {
				if _, known := command.PathFlags[flag.Name]; strings.HasSuffix("-"+flag.Name, ending) && !known {
					t.Errorf("--%s of %s is not read as a path", flag.Name, cmd.CommandPath())
				}
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(cli.New())
}

// listedTools runs stdio and returns the tools that it lists.
func listedTools(t *testing.T, environment []string, arguments ...string) []string {
	t.Helper()
	got := runProgram(t, environment, initialize+`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`+"\n", append([]string{"stdio"}, arguments...)...)
	if got.code != command.ExitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	var list struct {
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	mustDo(t, json.Unmarshal(answers(t, got.stdout)["2"], &list))
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

func TestP17_AListIsReadTheSameWayFromAVariableAndAFlag(t *testing.T) {
	want := []string{"list_tokens", "whoami"}
	for _, list := range []string{"whoami, list_tokens", " whoami ,, list_tokens, ", "whoami\nlist_tokens\n", `"whoami", "list_tokens"`} {
		if got := listedTools(t, kenbuntest.Environment(t, "KENBUN_TOOLS="+list)); !slices.Equal(got, want) {
			t.Errorf("the variable %q: %v", list, got)
		}
		if got := listedTools(t, kenbuntest.Environment(t), "--tools", list); !slices.Equal(got, want) {
			t.Errorf("the flag %q: %v", list, got)
		}
	}
	// The second line must not be lost.
	if got := listedTools(t, kenbuntest.Environment(t, "KENBUN_EXCLUDE_TOOLS=create_token,\nrevoke_token")); slices.Contains(got, "create_token") || slices.Contains(got, "revoke_token") {
		t.Errorf("excluded tools are listed: %v", got)
	}
	for _, words := range [][]string{{"--tools", ""}, {"--tools", " , "}, {"--exclude-tools", "\n"}} {
		if got := runProgram(t, kenbuntest.Environment(t), "", append([]string{"stdio"}, words...)...); got.code != command.ExitUsage || !strings.Contains(got.stderr, "at least one") {
			t.Errorf("%q: exit code %d, %s", words, got.code, got.stderr)
		}
	}
	if got := runProgram(t, kenbuntest.Environment(t, "KENBUN_TOOLS= , "), "", "stdio"); got.code != command.ExitUsage {
		t.Errorf("a list without an entry: exit code %d, %s", got.code, got.stderr)
	}
}

func TestP14_BlanksAroundASettingAreTrimmed(t *testing.T) {
	for _, blanks := range [][2]string{{" ", " "}, {"\t", "\r\n"}, {"\uFEFF", "\u00a0"}, {"\u200b", "\u200b"}} {
		environment := kenbuntest.Environment(t, "KENBUN_READ_ONLY="+blanks[0]+"true"+blanks[1], "KENBUN_APPROVAL="+blanks[0]+"ask"+blanks[1],
			"KENBUN_MAX_TOKEN_LIFETIME="+blanks[0]+"7d"+blanks[1], "KENBUN_DELIVER_WAIT="+blanks[0]+"1m"+blanks[1], "KENBUN_MAX_TOKENS_PER_DAY="+blanks[0]+"3"+blanks[1],
			"KENBUN_API_URL="+blanks[0]+"https://api.example.com"+blanks[1])
		if got := listedTools(t, environment); slices.Contains(got, "create_token") || !slices.Contains(got, "whoami") {
			t.Errorf("with %q around: %v", blanks, got)
		}
	}
}

// Each command with --ca-file refuses a file that it cannot use, whatever else it does.
func TestP20_AFileOfAuthoritiesThatCannotBeReadIsRefusedByEveryCommand(t *testing.T) {
	folder := t.TempDir()
	files := map[string]string{filepath.Join(folder, "none"): "does not exist", folder: "cannot be read"}
	for name, content := range map[string]string{"empty": "", "key": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "page": "<html>"} {
		file := filepath.Join(folder, name)
		writePrivate(t, file, []byte(content))
		files[file] = "holds no certificate"
	}
	identity := filepath.Join(folder, "identity")
	writePrivate(t, identity, []byte("AGE-SECRET-KEY-"))
	words := map[string][]string{
		"tokens create": {"--stdout", "x", "--expires", "1d"}, "tokens rotate": {"--stdout", "pat_1"}, "tokens revoke": {"pat_1"}, "tokens update": {"pat_1", "--name", "x"},
		"http": {"--listen", "127.0.0.1:0"}, "claim": {"claim_ABCDEFGHIJKLMNOPQRSTUVWXYZ", "--server", "https://127.0.0.1:1", "--stdout"}, "login": {}, "logout": {}, "whoami": {}, "stdio": {}, "tokens list": {},
	}
	var lines [][]string
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("ca-file") != nil {
			_, line, _ := strings.Cut(cmd.CommandPath(), " ")
			rest, known := words[line]
			if !known {
				t.Errorf("%s is not tried", line)
			}
			lines = append(lines, append(strings.Fields(line), rest...))
			if cmd.Flags().Lookup("embedded") != nil && line != "claim" {
				lines = append(lines, slices.Concat(strings.Fields(line), rest, []string{"--embedded", "--embedded-store", "memory"}))
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(cli.New())
	known := kenbuntest.Environment(t, "KENBUN_PAT=kbn_"+"pat_"+strings.Repeat("a", 40))
	data := filepath.Join(variable(known, "XDG_DATA_HOME"), "kenbun-mcp")
	mustDo(t, os.MkdirAll(data, 0o700))
	writePrivate(t, filepath.Join(data, "known-servers"), []byte("https://127.0.0.1:1\n"))
	for i, line := range lines {
		for file, says := range files {
			if line[0] != "whoami" && !strings.HasSuffix(file, []string{"none", "empty"}[i%2]) {
				continue
			}
			got := runProgram(t, append(known, "KENBUN_CA_FILE="+file), "", line...)
			undone := got.code == command.ExitRefused && strings.Contains(got.stderr, "Nothing was done") // there is no terminal
			named := got.code == command.ExitUsage && strings.Contains(got.stderr, file) && strings.Contains(got.stderr, says)
			if !undone && !named || got.stdout != "" {
				t.Errorf("%v with %s: exit code %d, %q", line, file, got.code, got.stderr)
			}
		}
	}
}

// Whoever asked for a shared state never gets one of the process's own.
func TestP20_AStateThatCannotBeReadEndsTheStart(t *testing.T) {
	for value, says := range map[string]string{
		"Memory": "KENBUN_STATE", "none": "KENBUN_STATE", "localhost:6379": "KENBUN_STATE", "http://canary-value@127.0.0.1": "KENBUN_STATE", "${REDIS_URL}": "KENBUN_STATE: it holds ${REDIS_URL}",
		"redis://:canary-value/x@127.0.0.1:6379": "KENBUN_STATE", "redis://127.0.0.1:6379/zero": "KENBUN_STATE", "redis://127.0.0.1:6379?db=1": "KENBUN_STATE", "redis://": "KENBUN_STATE",
		"redis://127.0.0.1:1/0": "Redis",
	} {
		key := filepath.Join(t.TempDir(), "key")
		got := runProgram(t, kenbuntest.Environment(t, "KENBUN_STATE="+value), "", "http", "--listen", "127.0.0.1:0", "--state-key-file", key)
		if got.code == command.ExitDone || !strings.Contains(got.stderr, says) || strings.Contains(got.stderr, "canary-value") || strings.Contains(got.stderr, "Serving MCP") {
			t.Errorf("%s: exit code %d, %q", value, got.code, got.stderr)
		}
	}
}
