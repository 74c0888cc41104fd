//go:build linux

package deploy_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

const unitFile = "kenbun-mcp@.service"

// unit is the settings of a systemd unit by name, each with its values in their
// order.
type unit map[string][]string

func loadUnit(t *testing.T) unit {
	t.Helper()
	file, err := os.Open(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	u := unit{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), "="); found && !strings.HasPrefix(name, "#") {
			u[name] = append(u[name], value)
		}
	}
	return u
}

func TestSystemd_UnitIsValidAndConfined(t *testing.T) {
	program(t, "systemd-analyze")
	content, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// Only that the program is there can be seen, not where.
	instance := filepath.Join(t.TempDir(), "kenbun-mcp@1.service")
	unitText := strings.ReplaceAll(string(content), "/usr/local/bin/kenbun-mcp", kenbuntest.Binary(t))
	if err := os.WriteFile(instance, []byte(unitText), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("systemd-analyze", "verify", "--man=no", instance).CombinedOutput()
	if err != nil || strings.Contains(string(output), "kenbun-mcp@") {
		t.Errorf("systemd-analyze verify: %v: %s", err, output)
	}
	// 0 is the most confined, 100 the least; few services are below 20.
	output, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", instance).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v: %s", err, output)
	}
}

// TestSystemd_ServesAsTheUnitSays starts what the unit starts, with what it
// gives it.
func TestSystemd_ServesAsTheUnitSays(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	d.startRedis(t)
	u := loadUnit(t)
	folder := d.folder
	fill := strings.NewReplacer("%i", "1", "%d", filepath.Join(folder, "credentials"), "%S", filepath.Join(folder, "state"),
		"%t", filepath.Join(folder, "run"), "/usr/local/bin/kenbun-mcp", kenbuntest.Binary(t), "/etc/kenbun-mcp/", filepath.Join(folder, "secrets")+"/").Replace
	for _, made := range []string{"credentials", filepath.Join("state", u["StateDirectory"][0])} {
		if err := os.MkdirAll(filepath.Join(folder, made), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	inGroup := d.makeRuntimeFolder(t, u, fill)
	for _, credential := range u["LoadCredential"] {
		name, source, _ := strings.Cut(credential, ":")
		content, err := os.ReadFile(fill(source))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "credentials", name), content, 0o440); err != nil {
			t.Fatal(err)
		}
	}
	variables := []string{"KENBUN_API_URL=" + api.URL}
	for _, file := range u["EnvironmentFile"] {
		content, err := os.ReadFile(fill(file))
		if err != nil {
			t.Fatal(err)
		}
		variables = append(variables, strings.Fields(strings.ReplaceAll(string(content), "redis:6379", d.redis))...)
	}
	for _, variable := range u["Environment"] {
		variables = append(variables, fill(variable))
	}
	p := launch(t, kenbuntest.Environment(t, variables...), append(inGroup, strings.Fields(fill(u["ExecStart"][0]))...))
	p.waitFor(t, "Serving MCP on unix:"+fill("%t/kenbun-mcp/%i/socket,"))
	d.startNginx(t)

	ada := user{d.client(t), api.User(t, "ada@example.com", authority.RoleMember)}
	answer, err := ada.call("create_token", `{"name":"nightly","expires":"7d"}`)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer, "https://"+host+"/claim/claim_") {
		t.Errorf("the person is sent to %q", answer)
	}
	if _, err := ada.fetch(claimID.FindString(answer)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "state", u["StateDirectory"][0], "journal")); err != nil {
		t.Errorf("there is no journal where the unit lets it be: %v", err)
	}
	// systemd shows these to every user of the machine.
	for _, shown := range slices.Concat(u["ExecStart"], u["Environment"]) {
		if strings.Contains(shown, "KENBUN_STATE=") || strings.Contains(shown, "--state ") {
			t.Errorf("the password of Redis would stand in %q", shown)
		}
	}
}

// makeRuntimeFolder makes the folder of the socket as systemd does, and returns
// the words before a command that give it the unit's group. nginx gets the user of
// that name. Only root can do either; others run everything as themselves.
func (d *deployment) makeRuntimeFolder(t *testing.T, u unit, fill func(string) string) (inGroup []string) {
	t.Helper()
	folder := filepath.Join(d.folder, "run", fill(u["RuntimeDirectory"][0]))
	mode, err := strconv.ParseUint(u["RuntimeDirectoryMode"][0], 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.Chmod(folder, fs.FileMode(mode))); err != nil {
		t.Fatal(err)
	}
	d.sockets = filepath.Join(d.folder, "run", "kenbun-mcp")
	if os.Geteuid() != 0 {
		return nil
	}
	program(t, "setpriv")
	d.workers = u["Group"][0]
	group, err := osuser.LookupGroup(d.workers)
	if err != nil {
		kenbuntest.SkipUnlessRequired(t, "there is no group "+d.workers+" on this machine")
	}
	gid, err := strconv.Atoi(group.Gid)
	if err := errors.Join(err, os.Chown(folder, -1, gid), os.Chmod(d.folder, 0o711)); err != nil {
		t.Fatal(err)
	}
	return []string{"setpriv", "--regid", group.Gid, "--clear-groups"}
}

// TestSystemd_FilterAllowsWhatTheProgramAsksFor runs a replica under strace and
// compares its system calls with those that the unit allows.
func TestSystemd_FilterAllowsWhatTheProgramAsksFor(t *testing.T) {
	program(t, "strace")
	program(t, "systemd-analyze")
	allowed := map[string]bool{}
	for _, filter := range loadUnit(t)["SystemCallFilter"] {
		sets, denied := strings.CutPrefix(filter, "~")
		for _, set := range strings.Fields(sets) {
			for _, call := range systemCalls(t, set) {
				allowed[call] = !denied
			}
		}
	}
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	d.startRedis(t)
	trace := filepath.Join(d.folder, "trace")
	words := append([]string{"strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", trace}, d.words(t, "replica1", kenbuntest.Binary(t))...)
	p := launch(t, kenbuntest.Environment(t, append(d.environment(t, "replica1"), "KENBUN_API_URL="+api.URL)...), words)
	p.waitFor(t, "Serving MCP on unix:")
	d.startNginx(t)
	ada := user{d.client(t), api.User(t, "ada@example.com", authority.RoleMember)}
	answer, err := ada.call("create_token", `{"name":"nightly","expires":"7d"}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ada.fetch(claimID.FindString(answer)); err != nil {
		t.Error(err)
	}
	p.signal(t, os.Interrupt)
	<-p.ended
	seen := map[string]bool{}
	for line := range strings.Lines(d.content(t, "trace")) {
		_, rest, _ := strings.Cut(line, " ")
		name, _, found := strings.Cut(strings.TrimLeft(rest, " "), "(")
		if found && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" {
			seen[name] = true
		}
	}
	if !seen["accept4"] || !seen["futex"] {
		t.Fatalf("the trace shows only %v", seen)
	}
	for name := range seen {
		// Go asks for more files if it may; it goes on without.
		if !allowed[name] && name != "prlimit64" && name != "setrlimit" {
			t.Errorf("the unit does not allow %s", name)
		}
	}
}

// systemCalls are those in a set, and in the sets that it holds.
func systemCalls(t *testing.T, set string) []string {
	t.Helper()
	output, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager", set).Output()
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter %s: %v", set, err)
	}
	var calls []string
	for line := range strings.Lines(string(output)) {
		switch name := strings.TrimSpace(line); {
		case name == "" || strings.HasPrefix(name, "#") || name == set:
		case strings.HasPrefix(name, "@"):
			calls = append(calls, systemCalls(t, name)...)
		default:
			calls = append(calls, name)
		}
	}
	return calls
}
