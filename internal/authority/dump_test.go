package authority

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
)

// traces are forms in which a part of a credential's secret could stand
// somewhere: every eight characters as they are and in hexadecimal, and longer
// parts in base64.
func traces(value string) map[string][]byte {
	secret := value[strings.LastIndexByte(value, '_')+1+domain.PublicDigits:]
	found := map[string][]byte{}
	for i := 0; i+8 <= len(secret); i += 8 {
		part := []byte(secret[i : i+8])
		found["plain"+secret[i:i+1]] = part
		found["hex"+secret[i:i+1]] = []byte(hex.EncodeToString(part))
		found["HEX"+secret[i:i+1]] = []byte(strings.ToUpper(hex.EncodeToString(part)))
	}
	// What stands before decides how base64 groups; whole groups remain.
	for offset := range 3 {
		part := secret[offset : offset+12]
		found["base64"+string(rune('0'+offset))] = []byte(base64.StdEncoding.EncodeToString([]byte(part)))
	}
	return found
}

func wantNoTrace(t *testing.T, where string, content []byte, values ...string) {
	t.Helper()
	for _, value := range values {
		for form, part := range traces(value) {
			if bytes.Contains(content, part) {
				t.Errorf("%s holds a part of a credential (%s)", where, form[:len(form)-1])
			}
		}
	}
}

func readFolder(t *testing.T, folder string) []byte {
	t.Helper()
	var content []byte
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var file []byte
			file, err = os.ReadFile(path)
			content = append(content, file...)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server has removed it meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The database, its log and a dump of it hold no credential in any form, and the
// database not the pepper either.
func TestR7_PostgresHoldsNoCredential(t *testing.T) {
	server := postgres.New(t)
	store := server.Database(t)
	pepperFile := filepath.Join(t.TempDir(), "pepper")
	f := newFixture(t, Config{Store: store, PepperFile: pepperFile})
	issued := f.user("ada@example.com", RoleMember)
	made := decode[row](t, f.send("POST", "/settings/tokens", `{"name": "x", "permissions": ["read:tokens"]}`, bearer(issued.Value)))
	session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.RotatePepper(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{issued.Value, made.Token, session} {
		f.send("GET", "/settings/tokens", "", bearer(value))
	}
	wantStatus(t, f.send("PATCH", "/settings/tokens/"+made.ID, `{"name": "renamed"}`, bearer(issued.Value)), 200)
	wantStatus(t, f.send("DELETE", "/settings/tokens/"+made.ID, "", bearer(issued.Value)), 204)
	f.Authority.uses.Flush(t.Context())
	admin, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := admin.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if _, err := admin.Exec(t.Context(), `CHECKPOINT`); err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	dumper := exec.CommandContext(t.Context(), server.Program("pg_dump"))
	dumper.Env = append(os.Environ(), "PGHOST="+address.Hostname(), "PGPORT="+address.Port(), "PGUSER="+address.User.Username(),
		"PGPASSWORD="+server.Password(), "PGDATABASE="+strings.TrimPrefix(address.Path, "/"))
	dump, err := dumper.Output()
	if err != nil {
		t.Fatal(err)
	}
	for where, content := range map[string][]byte{
		"a dump":              dump,
		"the write-ahead log": readFolder(t, filepath.Join(server.Folder, "data", "pg_wal")),
		"the data folder":     readFolder(t, filepath.Join(server.Folder, "data", "base")),
		"the log of the node": []byte(f.log.String()),
	} {
		if !bytes.Contains(content, []byte(issued.Prefix)) {
			t.Errorf("the search does not see the rows in %s", where)
		}
		wantNoTrace(t, where, content, issued.Value, made.Token, session)
		for _, key := range pepperKeys(t, pepperFile, 2) {
			if bytes.Contains(content, key) || bytes.Contains(content, []byte(base64.StdEncoding.EncodeToString(key))) || bytes.Contains(content, []byte(hex.EncodeToString(key))) {
				t.Errorf("%s holds a pepper", where)
			}
		}
	}
}
