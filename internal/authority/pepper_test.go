package authority

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestH5_StoredDigestIsKeyed(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, Config{Store: "sqlite:" + filepath.Join(dir, "kenbun.db")})
	issued := f.user("ada@example.com", RoleMember)
	made := decode[row](t, f.send("POST", "/settings/tokens", `{"name": "x"}`, bearer(issued.Value)))
	session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var dump []byte
	names := ""
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dump = append(dump, content...)
		names += " " + filepath.Base(file)
	}
	if !strings.Contains(names, "kenbun.db-wal") || !bytes.Contains(dump, []byte(issued.Prefix)) {
		t.Fatalf("the search does not see the rows, in%s", names)
	}
	for _, value := range []string{issued.Value, made.Token, session} {
		body := value[strings.LastIndexByte(value, '_')+1+publicDigits:]
		for half := range 2 {
			if bytes.Contains(dump, []byte(body[half*19:half*19+19])) {
				t.Error("the files hold a part of a value")
			}
		}
		// The digest is there, and it is no plain hash.
		if !bytes.Contains(dump, []byte(f.peppers.current().digest(value))) {
			t.Error("the files do not hold the keyed digest")
		}
		if plain := (pepper{}).digest(value); bytes.Contains(dump, []byte(plain)) {
			t.Error("the digest does not depend on the pepper")
		}
	}
	database, err := os.ReadFile(filepath.Join(dir, "kenbun.db"))
	if err != nil {
		t.Fatal(err)
	}
	key := f.peppers.current().key
	if bytes.Contains(database, key) || bytes.Contains(database, []byte(base64.StdEncoding.EncodeToString(key))) {
		t.Error("the database holds the pepper")
	}
}

func TestR7_OlderPepperStillVerifies(t *testing.T) {
	store := "sqlite:" + filepath.Join(t.TempDir(), "kenbun.db")
	pepperFile := filepath.Join(t.TempDir(), "keys")
	var before Issued
	t.Run("version 1", func(t *testing.T) {
		before = newFixture(t, Config{Store: store, PepperFile: pepperFile}).user("ada@example.com", RoleMember)
	})
	content, err := os.ReadFile(pepperFile)
	if err != nil {
		t.Fatal(err)
	}
	second := fmt.Sprintf("2 %s\n", base64.StdEncoding.EncodeToString(newPepper(2).key))
	if err := os.WriteFile(pepperFile, append(content, second...), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("versions 1 and 2", func(t *testing.T) {
		f := newFixture(t, Config{Store: store, PepperFile: pepperFile})
		after := f.token("ada@example.com", "after")
		if !f.works(before.Value) || !f.works(after.Value) {
			t.Error("a token of one version does not work")
		}
		var versions int
		if err := f.db.read.QueryRowContext(t.Context(), `SELECT count(DISTINCT pepper_version) FROM tokens`).Scan(&versions); err != nil || versions != 2 {
			t.Errorf("tokens under %d versions: %v", versions, err)
		}
	})
}

func TestR7_PepperAndDatabaseBelongTogether(t *testing.T) {
	dir := t.TempDir()
	store, pepperFile := "sqlite:"+filepath.Join(dir, "kenbun.db"), filepath.Join(dir, "pepper")
	a, err := Open(t.Context(), Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(pepperFile)
	if err != nil {
		t.Fatal(err)
	}
	key := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for name, c := range map[string]struct{ content, says string }{
		"missing":         {"", "is missing"},
		"empty":           {"\n", "is empty"},
		"another":         {"1 " + key(32), "not the one"},
		"newer only":      {"2 " + key(32), "lacks version 1"},
		"short":           {"1 " + key(31), "line 1"},
		"no version":      {key(32), "line 1"},
		"version 0":       {"0 " + key(32), "line 1"},
		"not ascending":   {string(right) + "1 " + key(32), "must ascend"},
		"damaged in line": {string(right) + "2 !" + key(32), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Remove(pepperFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if c.content != "" {
				if err := os.WriteFile(pepperFile, []byte(c.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(t.Context(), Config{Store: store})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want one that says %q", err, c.says)
			}
			if strings.Contains(err.Error(), key(31)[:20]) {
				t.Error("the error holds the key")
			}
			if _, err := os.Stat(pepperFile); c.content == "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a pepper was made that fits no token: %v", err)
			}
		})
	}
	if err := os.WriteFile(pepperFile, right, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), Config{Store: store})
	if err != nil {
		t.Fatalf("with the right file again: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
