package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestR34_WhileTheAuditLogCannotBeWrittenNothingMoreIsChanged(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	disk := kenbuntest.SmallDisk(t)
	path, ballast := filepath.Join(disk, "audit.log"), filepath.Join(disk, "ballast")
	address, log := startHTTPLogged(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL), "--audit-log", path)
	kenbuntest.FillDisk(t, ballast)

	// Nobody could know before: it is done, and told.
	makeClaim(t, address, pat, "one too many")
	waitUntil(t, "the line that tells the operator", func() bool {
		return strings.Contains(log(), "the audit log cannot be written") && strings.Contains(log(), "the disk is full")
	})
	refused := postMCP(t, address, pat, callTool("create_token", `{"name":"refused","expires":"7d"}`))
	if !strings.Contains(refused, "unavailable: the operator's audit log cannot be written, and without it nothing is changed") {
		t.Errorf("the answer is %s", refused)
	}
	if list := postMCP(t, address, pat, callTool("list_tokens", `{}`)); !strings.Contains(list, "one too many") || strings.Contains(list, "refused") {
		t.Errorf("the tokens are %s", list)
	}
	if text := readFile(t, path); text != "" {
		t.Errorf("the file holds a part of an entry: %q", text)
	}

	mustDo(t, os.Remove(ballast))
	makeClaim(t, address, pat, "afterwards")
	created := []string{"create_token create done live", "create_token deliver done waiting"}
	expectEntries(t, auditEntries(t, readFile(t, path), pat), append(created, created...)...)
}

// A hash has to be one for people without this program, too.
func TestR35_TheShellComputesTheHashAsTheDocumentationSays(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "audit.log")
	auditedCalls(t, auditEnvironment(t), "--audit-log", path)
	_, rest, _ := strings.Cut(readFile(t, filepath.Join("..", "..", "docs", "security.md")), "\nhead -n 1 ")
	script, _, _ := strings.Cut(rest, "\n")
	command := exec.Command("sh", "-c", "head -n 1 "+script)
	command.Dir = folder
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	first, _, _ := strings.Cut(readFile(t, path), "\n")
	if got, _, _ := strings.Cut(string(said), " "); got != auditHash(t, first) {
		t.Errorf("the shell says %q of %s", got, first)
	}
}
