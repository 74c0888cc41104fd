package authority

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/pepper"
)

func TestH5_StoredDigestIsKeyed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
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
		wantNoTrace(t, "a file", dump, value)
		// The digest is there, and it is no plain hash.
		if !bytes.Contains(dump, []byte(f.digest(value))) {
			t.Error("the files do not hold the keyed digest")
		}
		if plain := unkeyed(value); bytes.Contains(dump, []byte(plain)) {
			t.Error("the digest does not depend on the pepper")
		}
	}
	database, err := os.ReadFile(filepath.Join(dir, "kenbun.db"))
	if err != nil {
		t.Fatal(err)
	}
	key := pepperKeys(t, filepath.Join(dir, "pepper"), 1)[0]
	if bytes.Contains(database, key) || bytes.Contains(database, []byte(base64.StdEncoding.EncodeToString(key))) {
		t.Error("the database holds the pepper")
	}
}

// unkeyed is the digest of a value without a pepper.
func unkeyed(value string) string {
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil))
}

// pepperKeys are the keys in a pepper file, which must be as many.
func pepperKeys(t *testing.T, file string, want int) (keys [][]byte) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if _, text, found := strings.Cut(strings.TrimSpace(line), " "); found && !strings.HasPrefix(line, "#") {
			key, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
	}
	if len(keys) != want {
		t.Fatalf("the pepper file has %d keys, want %d", len(keys), want)
	}
	return keys
}

// Tokens of before go on working, move to the newest pepper when they are used,
// and the old pepper may go when nothing needs it.
func TestR7_PepperIsRotated(t *testing.T) {
	overLastingStores(t, func(t *testing.T, store string) {
		pepperFile := filepath.Join(t.TempDir(), "keys")
		cfg := Config{Store: store, PepperFile: pepperFile}
		var used, unused, after Issued
		var session string
		versionOf := func(f *fixture, issued Issued) (version int64) {
			t.Helper()
			if err := f.reads().QueryRowContext(t.Context(), `SELECT pepper_version FROM tokens WHERE id = $1`, issued.ID).Scan(&version); err != nil {
				t.Fatal(err)
			}
			return version
		}
		t.Run("rotated while two run", func(t *testing.T) {
			one, two := newFixture(t, cfg), newFixture(t, cfg)
			used, unused = one.user("ada@example.com", RoleMember), one.token("ada@example.com", "unused")
			var err error
			if session, err = one.IssueSession(t.Context(), "ada@example.com", time.Hour); err != nil {
				t.Fatal(err)
			}
			if version, err := one.RotatePepper(t.Context()); err != nil || version != 2 {
				t.Fatalf("version %d: %v", version, err)
			}
			after = one.token("ada@example.com", "after")
			if versionOf(one, used) != 1 || versionOf(one, after) != 2 {
				t.Error("the wrong tokens are under the new pepper")
			}
			if !two.works(after.Value) {
				t.Error("the other does not know the new pepper")
			}
			if !one.works(used.Value) || !two.works(used.Value) || !one.works(session) {
				t.Error("what was made before does not work")
			}
			if versionOf(one, used) != 2 || versionOf(one, unused) != 1 {
				t.Error("not just the token that was used has moved")
			}
			versions, err := one.Peppers(t.Context())
			if want := []pepper.Version{{Version: 1, Credentials: 2}, {Version: 2, Credentials: 2, Current: true}}; err != nil || !slices.Equal(versions, want) {
				t.Errorf("peppers %+v, want %+v: %v", versions, want, err)
			}
		})
		content, err := os.ReadFile(pepperFile)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(content), "\n")
		withoutFirst := strings.Join(slices.Delete(slices.Clone(lines), 1, 2), "")
		if err := os.WriteFile(pepperFile, []byte(withoutFirst), 0o600); err != nil {
			t.Fatal(err)
		}
		early := cfg
		early.Now = newClock().Now
		if _, err := Open(t.Context(), early); err == nil || !strings.Contains(err.Error(), "lacks version 1, which 2 ") {
			t.Errorf("without a pepper that is needed: %v", err)
		}
		if err := os.WriteFile(pepperFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("the last one is used", func(t *testing.T) {
			f := newFixture(t, cfg)
			if !f.works(unused.Value) {
				t.Error("it does not work")
			}
			f.clock.advance(2 * time.Hour) // the session ends
		})
		cfg.PepperFile, cfg.Pepper = "", strings.ReplaceAll(withoutFirst, " ", ":")
		cfg.Pepper = cfg.Pepper[strings.Index(cfg.Pepper, "\n")+1:]
		late := newClock()
		late.advance(2 * time.Hour)
		cfg.Now = late.Now
		t.Run("without the old one", func(t *testing.T) {
			f := newFixture(t, cfg)
			for _, issued := range []Issued{used, unused, after} {
				if !f.works(issued.Value) {
					t.Errorf("token %s does not work", issued.Prefix)
				}
			}
			if _, err := f.RotatePepper(t.Context()); err == nil {
				t.Error("a pepper that is in no file was rotated")
			}
		})
	})
}

// A node whose peppers are behind cannot tell a good token from a bad one.
func TestN4_NodeWithoutTheNewestPepperRefusesNobody(t *testing.T) {
	store := sqliteStore(t)
	files := []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	one := newFixture(t, Config{Store: store, PepperFile: files[0]})
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[1], content, 0o600); err != nil {
		t.Fatal(err)
	}
	two := newFixture(t, Config{Store: store, PepperFile: files[1]})
	if _, err := one.RotatePepper(t.Context()); err != nil {
		t.Fatal(err)
	}
	issued := one.user("ada@example.com", RoleMember)
	got := two.send("GET", "/me", "", bearer(issued.Value))
	wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if content, err = os.ReadFile(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[1], content, 0o600); err != nil {
		t.Fatal(err)
	}
	if !two.works(issued.Value) {
		t.Error("the file is there and was not read")
	}
}

func TestR7_PepperAndDatabaseBelongTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
	store, pepperFile := "sqlite:"+filepath.Join(dir, "kenbun.db"), filepath.Join(dir, "pepper")
	a, err := Open(t.Context(), Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddUser(t.Context(), NewUser{Email: "ada@example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.IssueToken(t.Context(), "ada@example.com", "needs the pepper", nil); err != nil {
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
