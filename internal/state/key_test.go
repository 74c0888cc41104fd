package state_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/marks"
	"github.com/kenbun/kenbun-mcp/internal/state"
)

func TestKey_IsMadeOnceAndReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	derived := make([][]byte, 20)
	var all sync.WaitGroup
	for i := range derived {
		all.Go(func() {
			key, err := state.LoadKey(file)
			if err != nil {
				t.Error(err)
				return
			}
			derived[i] = key.Derive("claims")
		})
	}
	all.Wait()
	for _, d := range derived {
		if len(d) != 32 || !bytes.Equal(d, derived[0]) {
			t.Fatal("processes that start at once have different keys")
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the key file has mode %o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	key, err := state.LoadKey(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(key.Derive("claims"), key.Derive("callers")) || bytes.Equal(key.Derive("claims"), state.NewKey().Derive("claims")) {
		t.Error("other purposes or keys give the same bytes")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(content)))
	if err != nil || bytes.Contains(key.Derive("claims"), secret[:8]) {
		t.Error("the key itself is handed out", err)
	}
}

func TestR36_KeyFileOfOthersIsRefused(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		says    string
	}{
		"fine":                {good, 0o600, ""},
		"readable by a group": {good, 0o640, "chmod 600"},
		"readable by all":     {good, 0o604, "chmod 600"},
		"writable by a group": {good, 0o620, "chmod 600"},
		"empty":               {"", 0o600, "does not hold a key"},
		"too short":           {base64.StdEncoding.EncodeToString(make([]byte, 31)), 0o600, "does not hold a key"},
		"too long":            {base64.StdEncoding.EncodeToString(make([]byte, 33)), 0o600, "does not hold a key"},
		"no base64":           {strings.Repeat("!", 44), 0o600, "does not hold a key"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(name, "by") {
				t.Skip("Windows has no mode bits")
			}
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			if os.Geteuid() == 0 {
				// A group that root is not in.
				if err := os.Chown(file, -1, 54321); err != nil {
					t.Fatal(err)
				}
			}
			_, err := state.LoadKey(file)
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("error %v, want one that says %q", err, c.says)
			case err != nil && c.content != "" && strings.Contains(err.Error(), strings.TrimSpace(c.content)):
				t.Error("the error holds what is in the file")
			}
		})
	}
	if _, err := state.LoadKey(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	// An orchestrator puts secrets in place by a link.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte(good), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("data", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := state.LoadKey(filepath.Join(dir, "link")); err != nil {
		t.Error(err)
	}
	if _, err := state.LoadKey(filepath.Join(t.TempDir(), "missing", "key")); err == nil || !strings.Contains(err.Error(), "cannot be made") {
		t.Errorf("a folder that is missing: %v", err)
	}
}

func TestP14_MarksAroundTheKeyAreTrimmed(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	plain := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(plain, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := state.LoadKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, marked := range marks.Around(base64.StdEncoding.EncodeToString(secret)) {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(marked), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := state.LoadKey(file)
		if err != nil || !bytes.Equal(key.Derive("claims"), want.Derive("claims")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
