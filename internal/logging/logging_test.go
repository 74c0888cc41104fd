package logging_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/logging"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

var formats = []logging.Format{logging.Text, logging.JSON}

func newLogger(t *testing.T, format logging.Format, level slog.Level) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	logger, err := logging.New(&log, format, level)
	if err != nil {
		t.Fatal(err)
	}
	return logger, &log
}

// hostile is text that does something to whoever shows it: an override, a bell,
// a terminal escape, a zero width space, a tag, line breaks of two kinds.
const hostile = "a\u202eb\ac\x1b[31md\u200be\U000e0041f\r\ng\u2028h"

type stringer struct{ text string }

func (s stringer) String() string { return s.text }

type resolved struct{ value slog.Value }

func (r resolved) LogValue() slog.Value { return r.value }

// valuesOf hides text in every kind of value that slog knows.
func valuesOf(text string) []any {
	return []any{
		"string", text, "error", errors.New(text), "any", struct{ Field string }{text}, "list", []string{text},
		"map", map[string]any{"k": text}, "stringer", stringer{text}, "bytes", []byte(text), "json", json.RawMessage(`"` + text + `"`),
		slog.Group("group", slog.String("inner", text), slog.Group("deep", slog.Any("deeper", errors.New(text)))),
		"resolved", resolved{slog.StringValue(text)}, "resolved group", resolved{slog.GroupValue(slog.String("inner", text))},
		"key " + text, 1,
	}
}

func TestA19_NothingInvisibleIsWritten(t *testing.T) {
	for _, format := range formats {
		logger, log := newLogger(t, format, slog.LevelInfo)
		logger.With("with", hostile).WithGroup("group").With(valuesOf(hostile)...).Info(hostile, valuesOf(hostile)...)
		lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
		if len(lines) != 1 || !plaintext.Visible(lines[0]) {
			t.Errorf("%s: %q", format, log)
		}
		if format == logging.JSON {
			// A reader undoes the escapes of JSON.
			var record map[string]any
			if err := json.Unmarshal(log.Bytes(), &record); err != nil {
				t.Fatalf("%v: %s", err, log)
			}
			if record["msg"] != "ab"+"c[31mdef g h" {
				t.Errorf("the message is %q", record["msg"])
			}
			expectVisible(t, record)
		}
	}
}

func expectVisible(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case string:
		if !plaintext.Visible(v) {
			t.Errorf("a value is %q", v)
		}
	case map[string]any:
		for key, inner := range v {
			expectVisible(t, key)
			expectVisible(t, inner)
		}
	case []any:
		for _, inner := range v {
			expectVisible(t, inner)
		}
	}
}

func TestR1_TokensAreCutOffAfterTheirPrefix(t *testing.T) {
	for _, literal := range redact.Literals() {
		t.Run(literal, func(t *testing.T) { cutOffAfterPrefix(t, literal) })
	}
}

func cutOffAfterPrefix(t *testing.T, literal string) {
	random := make([]byte, 20)
	_, _ = rand.Read(random) // never fails
	token := literal + hex.EncodeToString(random)
	public := len(literal) + redact.PublicLen
	prefix, secret := token[:public], token[public:]
	if literal == redact.ServerKey {
		prefix = "" // nothing of it is public
	}
	for name, text := range map[string]string{
		"alone": token, "in a sentence": "the token " + token + " was refused", "twice": token + "," + token,
		"in capitals": strings.ToUpper(token), "with a zero width space": token[:12] + "\u200b" + token[12:30] + "\u00ad" + token[30:],
		"in an address": "http://x/" + token + "?token=" + token, "a part": token[:public+8],
		"with what tokens may hold": token[:public+4] + "_-" + token[public+4:],
	} {
		for _, format := range formats {
			logger, log := newLogger(t, format, slog.LevelInfo)
			logger.With(valuesOf(text)...).Info(text, valuesOf(text)...)
			lower := strings.ToLower(log.String())
			for i := 0; i+8 <= len(secret); i += 8 {
				if strings.Contains(lower, secret[i:i+8]) {
					t.Errorf("%s, %s: the log holds some of the secret: %s", name, format, log)
					break
				}
			}
			if !strings.Contains(lower, prefix+"[redacted]") {
				t.Errorf("%s, %s: the prefix is gone: %s", name, format, log)
			}
		}
	}
	logger, log := newLogger(t, logging.Text, slog.LevelInfo)
	logger.Info("revoked", "prefix", token[:public], "secret", client.NewSecret(token))
	if text := log.String(); !strings.Contains(text, "prefix="+token[:public]+" ") || strings.Contains(text, secret[:8]) {
		t.Errorf("a public prefix, and a secret that knows it is one: %s", text)
	}
}

func TestOrdinaryValuesStayWhatTheyAre(t *testing.T) {
	logger, log := newLogger(t, logging.JSON, slog.LevelInfo)
	logger.Debug("too low")
	logger.WithGroup("").Info("request", "status", 200, "ratio", 0.5, "ok", true, "took", time.Second, "nothing", nil,
		"at", time.Date(2026, 7, 28, 0, 0, 0, 0, time.UTC), "name", "Bücher 本 – 5 %", "cause", errors.New("connection refused"))
	var record map[string]any
	if err := json.Unmarshal(log.Bytes(), &record); err != nil {
		t.Fatalf("%v: %s", err, log)
	}
	delete(record, "time")
	want := map[string]any{
		"level": "INFO", "msg": "request", "status": 200.0, "ratio": 0.5, "ok": true, "took": 1e9, "nothing": nil,
		"at": "2026-07-28T00:00:00Z", "name": "Bücher 本 – 5 %", "cause": "connection refused",
	}
	for key := range want {
		if record[key] != want[key] {
			t.Errorf("%s is %v, want %v", key, record[key], want[key])
		}
	}
	if len(record) != len(want) {
		t.Errorf("the record is %v", record)
	}
}

func TestUnknownFormatsAreRefused(t *testing.T) {
	for _, format := range []logging.Format{"", "JSON", "xml"} {
		if _, err := logging.New(&bytes.Buffer{}, format, slog.LevelInfo); err == nil {
			t.Errorf("%q was taken", format)
		}
	}
}
