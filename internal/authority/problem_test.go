package authority

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
)

func TestOpen_TellsWhatIsWrongWithPostgres(t *testing.T) {
	server := postgres.New(t)
	address := server.Database(t)
	other := func(old, replacement string) string {
		t.Helper()
		changed := strings.Replace(address, old, replacement, 1)
		if changed == address {
			t.Fatalf("the address has no %q", old)
		}
		return changed
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	pepper := filepath.Join(t.TempDir(), "pepper")
	said := func(store, says string) {
		t.Helper()
		a, err := Open(t.Context(), Config{Store: store, PepperFile: pepper})
		if err == nil {
			t.Fatal("it was opened", a.Close())
		}
		if text := err.Error(); !strings.Contains(text, says) || strings.Contains(text, "SQLSTATE") || strings.Contains(text, server.Password()) {
			t.Errorf("error %q, want one that says %q", text, says)
		}
	}
	said(other(server.Password(), "wrong"), "refuses the user name or password")
	said(other("/"+config.Database, "/nowhere"), "no database of that name")

	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+pgx.Identifier{config.Database}.Sanitize()+" SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	said(address, "name the primary")
	server.Stop(t)
	said(address, "no connection could be made")
	server.Start(t)
}

func TestOpen_TellsWhatIsWrongWithAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kenbun.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Store: "sqlite:" + path})
	if err == nil || !strings.Contains(err.Error(), "is not a database, or it is damaged") {
		t.Errorf("error %v", err)
	}
}
