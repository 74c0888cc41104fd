//go:build unix

package delivery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestR36_A44_EnvFileThatOthersCanReachIsRefused(t *testing.T) {
	content := "KENBUN_PAT=old\n"
	for name, c := range map[string]struct {
		change func(path string) error
		says   string
	}{
		"readable":      {func(p string) error { return os.Chmod(p, 0o644) }, "chmod 600"},
		"writable":      {func(p string) error { return os.Chmod(p, 0o620) }, "chmod 600"},
		"open folder":   {func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "chmod o-w"},
		"symbolic link": {func(p string) error { return os.Symlink(p, p+".link") }, "symbolic link"},
	} {
		road, path := newEnvFile(t, &content)
		if err := c.change(path); err != nil {
			t.Fatal(err)
		}
		if name == "symbolic link" {
			linked, err := delivery.NewEnvFile(path+".link", "KENBUN_PAT")
			if err != nil {
				t.Fatal(err)
			}
			road = linked
		}
		_, deliverErr := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1"))
		for action, err := range map[string]error{"check": road.Check(t.Context()), "deliver": deliverErr} {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: %v", name, action, err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%s: the file was changed, or %v", name, err)
		}
	}
}

func TestR36_EnvFileStaysTheUsersAlone(t *testing.T) {
	content := "A=1\n"
	road, path := newEnvFile(t, &content)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1")); err != nil {
		t.Fatal(err)
	}
	mustBeMode(t, path, 0o400)
	road, path = newEnvFile(t, nil)
	if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1")); err != nil {
		t.Fatal(err)
	}
	mustBeMode(t, path, 0o600)
}
