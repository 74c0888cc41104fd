package claim_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/claim"
)

func TestKnownServers(t *testing.T) {
	known := claim.Known{Path: filepath.Join(t.TempDir(), "data", "known-servers")}
	has := func(server string) bool {
		t.Helper()
		has, err := known.Has(server)
		if err != nil {
			t.Fatal(err)
		}
		return has
	}
	if has("https://mcp.example.com") {
		t.Error("a server is known at first")
	}
	for _, server := range []string{"https://mcp.example.com", "https://MCP.example.com:443/kenbun", "http://127.0.0.1:8765/"} {
		if err := known.Add(t.Context(), server); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(known.Path)
	if err != nil || string(content) != "https://mcp.example.com\nhttp://127.0.0.1:8765\n" {
		t.Errorf("the file holds %q, %v", content, err)
	}
	info, err := os.Stat(known.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v, %v", info.Mode(), err)
	}
	for server, want := range map[string]bool{
		"https://mcp.example.com/": true, "https://mcp.example.com:443": true, "http://127.0.0.1:8765": true,
		"https://mcp.example.com:8443": false, "https://mcp.example.co": false, "https://evil.example": false, "http://127.0.0.1:8766": false,
		"https://127.0.0.1:8765": false,
	} {
		if has(server) != want {
			t.Errorf("%s is known: %t, want %t", server, !want, want)
		}
	}
	if _, err := known.Has("http://mcp.example.com"); !errors.Is(err, claim.ErrInvalidServer) {
		t.Errorf("an address at which no claim is fetched: %v", err)
	}
	if err := os.Chmod(known.Path, 0o666); err != nil {
		t.Fatal(err)
	}
	if has, err := known.Has("https://mcp.example.com"); err == nil || has {
		t.Errorf("a file that others can write is believed: %t, %v", has, err)
	}
}
