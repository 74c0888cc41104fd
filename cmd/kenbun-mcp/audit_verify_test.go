package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// auditedCalls has the program make two tokens and be refused a revocation: five
// entries of two processes, after those arguments. It returns what went to
// standard error.
func auditedCalls(t *testing.T, environment []string, arguments ...string) string {
	t.Helper()
	var stderr string
	for _, calls := range []string{
		toolCall(2, "create_token", `{"name":"import","expires":"7d"}`),
		toolCall(2, "create_token", `{"name":"export","expires":"7d"}`) + toolCall(3, "revoke_token", `{"id":"pat_none"}`),
	} {
		got := runProgram(t, environment, initialize+calls, append([]string{"stdio"}, arguments...)...)
		if got.code != 0 {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		stderr += got.stderr
	}
	return stderr
}

func auditEnvironment(t *testing.T) []string {
	t.Helper()
	api := kenbuntest.Start(t)
	return kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.User(t, "ada@example.com", authority.RoleMember),
		"KENBUN_DELIVER=file", "KENBUN_DELIVER_DIR="+filepath.Join(t.TempDir(), "tokens"))
}

// auditHash reads what an entry says of itself.
func auditHash(t *testing.T, line string) string {
	t.Helper()
	var read struct{ Hash string }
	if err := json.Unmarshal([]byte(line), &read); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return read.Hash
}

// auditTimes stand for nothing in what a test expects.
var auditTimes = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)

func TestR35_AuditVerifySaysWhatBecameOfTheLog(t *testing.T) {
	environment, folder := auditEnvironment(t), t.TempDir()
	path := filepath.Join(folder, "audit.log")
	auditedCalls(t, environment, "--audit-log", path)
	lines := slices.Collect(strings.Lines(readFile(t, path)))
	var hashes []string
	for _, line := range lines {
		hashes = append(hashes, auditHash(t, line))
	}
	if len(lines) != 5 {
		t.Fatalf("the log is\n%s", strings.Join(lines, ""))
	}
	file := func(name string, lines ...string) string {
		path := filepath.Join(folder, name)
		mustDo(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
		return path
	}
	log := file("whole", lines...)
	changed := slices.Clone(lines)
	changed[2] = strings.Replace(changed[2], `"caller":"`, `"caller":"x`, 1)
	isUnlinked, _, _ := strings.Cut(lines[0], `,"previous":`)
	const times = ", from TIME to TIME.\n"

	for name, tc := range map[string]struct {
		arguments []string
		code      int
		says, err string
	}{
		"whole": {[]string{log}, command.ExitDone, "5 entries" + times + "The chain of checksums is unbroken.\nLast hash: " + hashes[4] + "\n", ""},
		"in two files": {[]string{file("a", lines[:2]...), file("b", lines[2:]...)}, command.ExitDone,
			"5 entries" + times + "The chain of checksums is unbroken.\nLast hash: " + hashes[4] + "\n", ""},
		"with a hash that was kept": {[]string{log, "--last", hashes[2]}, command.ExitDone,
			"5 entries" + times + "The chain of checksums is unbroken.\nLast hash: " + hashes[4] + "\n" + log + ":3 has the hash " + hashes[2] + "; 2 entries follow.\n", ""},
		"cut off": {[]string{file("cut", lines[:3]...), "--last", hashes[3]}, command.ExitFailed,
			"3 entries" + times + "The chain of checksums is unbroken.\nLast hash: " + hashes[2] + "\n",
			"kenbun-mcp: no entry has the hash " + hashes[3] + ": the end of the log was cut off, or it was written anew\n"},
		"changed": {[]string{file("changed", changed...)}, command.ExitFailed,
			"5 entries" + times + "Broken at " + filepath.Join(folder, "changed") + ":3: this entry was changed.\nLast hash: " + hashes[4] + "\n",
			"kenbun-mcp: the audit log is broken at " + filepath.Join(folder, "changed") + ":3: this entry was changed\n"},
		"taken out": {[]string{file("out", lines[0], lines[2], lines[4])}, command.ExitFailed,
			"3 entries" + times + "Broken at " + filepath.Join(folder, "out") + ":2: this entry does not follow the one before it: entries are missing, or were moved, changed or put in.\n" +
				"Behind it the log is broken at 1 place more.\nLast hash: " + hashes[4] + "\n",
			"kenbun-mcp: the audit log is broken at " + filepath.Join(folder, "out") + ":2: this entry does not follow the one before it: entries are missing, or were moved, changed or put in\n"},
		"after others": {[]string{file("after", lines[3:]...), "--after", hashes[2]}, command.ExitDone,
			"2 entries" + times + "The chain of checksums is unbroken.\nLast hash: " + hashes[4] + "\n", ""},
		"a part, and entries of before": {[]string{file("old", isUnlinked, "}\n", isUnlinked, "}\n", lines[0], isUnlinked, "\n", lines[1])}, command.ExitDone,
			"2 entries" + times + "The chain of checksums is unbroken.\nNot covered: 2 entries from before there were hashes.\n" +
				filepath.Join(folder, "old") + ":4 holds a part of an entry, left by a process that ended while it wrote.\nLast hash: " + hashes[1] + "\n", ""},
		"only entries of before": {[]string{file("only", isUnlinked, "}\n")}, command.ExitDone,
			"No entry has a hash: nothing can be verified.\nNot covered: 1 entry from before there were hashes.\n", ""},
		"nothing": {[]string{file("nothing")}, command.ExitDone, "The log has no entries.\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := runProgram(t, environment, "", append([]string{"audit", "verify"}, tc.arguments...)...)
			if said := auditTimes.ReplaceAllString(got.stdout, "TIME"); got.code != tc.code || said != tc.says || got.stderr != tc.err {
				t.Errorf("exit %d\n%s%swant exit %d\n%s%s", got.code, said, got.stderr, tc.code, tc.says, tc.err)
			}
		})
	}
}

func TestR35_AuditVerifyReadsStreams(t *testing.T) {
	environment := auditEnvironment(t)
	text := auditedCalls(t, environment, "--audit-log", "-", "--log-format", "json")
	first, last := "", ""
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"hash":"`) {
			last = auditHash(t, line)
			if first == "" {
				first = line
			}
		}
	}
	got := runProgram(t, environment, "something else\n"+text, "audit", "verify", "--stream", "-", "--json", "--last", last)
	var report struct {
		Entries, Breaks, Other int
		Chains                 []struct{ Entries int }
		Last                   string
		Kept                   []struct{ At struct{ File string } }
	}
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != command.ExitDone || got.stderr != "" {
		t.Fatalf("%v, exit %d: %s%s", err, got.code, got.stdout, got.stderr)
	}
	if report.Entries != 5 || report.Breaks != 0 || len(report.Chains) != 2 || report.Chains[1].Entries != 3 || report.Other < 1 ||
		report.Last != last || report.Kept[0].At.File != "standard input" {
		t.Errorf("%s", got.stdout)
	}

	got = runProgram(t, environment, text, "audit", "verify", "--stream", "-")
	if got.code != command.ExitDone || !strings.Contains(got.stdout, "There are 2 chains. Nothing shows whether entries are missing between the end of one and the beginning of another:\n  standard input:") ||
		!strings.Contains(got.stdout, ", 3 entries, last hash "+last+"\n") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	got = runProgram(t, environment, strings.Replace(text, first, "", 1), "audit", "verify", "--stream", "-", "--json")
	if got.code != command.ExitFailed || !strings.Contains(got.stdout, `"kind": "beginning"`) || !strings.Contains(got.stderr, "the audit log is broken at standard input:") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	// What is a stream is said for each call.
	got = runProgram(t, append(environment, "KENBUN_STREAM=true"), text, "audit", "verify", "-")
	if got.code != command.ExitFailed || !strings.Contains(got.stderr, "a new chain begins in the middle of the file") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestAuditVerifyRefusesWhatItCannotRead(t *testing.T) {
	environment, folder := kenbuntest.Environment(t), t.TempDir()
	for says, tc := range map[string]struct {
		arguments []string
		code      int
	}{
		"requires at least 1 arg":                   {nil, command.ExitUsage},
		`"abc" is no hash of an entry`:              {[]string{"-", "--last", "abc"}, command.ExitUsage},
		`"ABC" is no hash of an entry`:              {[]string{"-", "--after", "ABC"}, command.ExitUsage},
		filepath.Join(folder, "none") + ": no such": {[]string{filepath.Join(folder, "none")}, command.ExitFailed},
		folder + " cannot be read: ":                {[]string{folder}, command.ExitFailed},
	} {
		got := runProgram(t, environment, "", append([]string{"audit", "verify"}, tc.arguments...)...)
		if got.code != tc.code || got.stdout != "" || !strings.Contains(got.stderr, says) {
			t.Errorf("%v: exit %d, %s%s, want %d, %s", tc.arguments, got.code, got.stdout, got.stderr, tc.code, says)
		}
	}
}

func TestR35_TheEntryInTheDocumentationIsOne(t *testing.T) {
	_, rest, _ := strings.Cut(readFile(t, filepath.Join("..", "..", "docs", "security.md")), "```json\n")
	line, _, _ := strings.Cut(rest, "```")
	var read struct{ Previous string }
	if err := json.Unmarshal([]byte(line), &read); err != nil {
		t.Fatal(err)
	}
	got := runProgram(t, kenbuntest.Environment(t), line, "audit", "verify", "-", "--after", read.Previous)
	if got.code != command.ExitDone || !strings.Contains(got.stdout, "1 entry, from 2026-03-04 05:06:07 UTC to") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestR35_AuditVerifyChecksSignatures(t *testing.T) {
	environment, folder := auditEnvironment(t), t.TempDir()
	path, key, public := filepath.Join(folder, "audit.log"), filepath.Join(folder, "audit.key"), filepath.Join(folder, "audit.pub")
	made := runProgram(t, environment, "", "audit", "keygen", key)
	if made.code != command.ExitDone || !strings.HasPrefix(made.stdout, "-----BEGIN PUBLIC KEY-----\n") || made.stderr != "" {
		t.Fatalf("exit %d: %s%s", made.code, made.stdout, made.stderr)
	}
	mustDo(t, os.WriteFile(public, []byte(made.stdout), 0o600))
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info, err)
	}
	if again := runProgram(t, environment, "", "audit", "keygen", key); again.code != command.ExitFailed || !strings.Contains(again.stderr, "exists") {
		t.Errorf("a key was overwritten: exit %d: %s", again.code, again.stderr)
	}
	auditedCalls(t, environment, "--audit-log", path, "--audit-key-file", key)

	got := runProgram(t, environment, "", "audit", "verify", "--public-key", public, path)
	if got.code != command.ExitDone || !strings.Contains(got.stdout, "The chain is unbroken.\nSigned with this key: 5 of 5 entries.\n") || got.stderr != "" {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	// Somebody who can write to the log computes the hash of a changed entry anew.
	lines := slices.Collect(strings.Lines(readFile(t, path)))
	open, _, _ := strings.Cut(strings.Replace(lines[4], `"caller":"`, `"caller":"x`, 1), `,"hash":"`)
	sum := sha256.Sum256([]byte(open + "}"))
	lines[4] = open + `,"hash":"` + hex.EncodeToString(sum[:]) + `"}` + "\n"
	mustDo(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
	if got := runProgram(t, environment, "", "audit", "verify", path); got.code != command.ExitDone {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	got = runProgram(t, environment, "", "audit", "verify", "--public-key", public, path)
	if got.code != command.ExitFailed || !strings.Contains(got.stderr, path+":5: this entry is not signed with this key") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}

	for says, arguments := range map[string][]string{
		"--audit-key-file needs --audit-log": {"stdio", "--audit-key-file", key},
		"it holds no private key":            {"stdio", "--audit-log", path, "--audit-key-file", public},
		"it holds no public key":             {"audit", "verify", "--public-key", key, path},
	} {
		got := runProgram(t, environment, "", arguments...)
		if got.code == command.ExitDone || got.stdout != "" || !strings.Contains(got.stderr, says) {
			t.Errorf("%v: exit %d: %s%s", arguments, got.code, got.stdout, got.stderr)
		}
	}
}
