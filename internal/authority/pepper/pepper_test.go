package pepper

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/marks"
)

func TestP14_MarksInAPepperAreTrimmed(t *testing.T) {
	first, second := bytes.Repeat([]byte{1}, keyBytes), bytes.Repeat([]byte{2}, keyBytes)
	text := "# keep this\n1 " + base64.StdEncoding.EncodeToString(first) + "\r\n2:\t" + base64.StdEncoding.EncodeToString(second)
	check := func(name string, source Source) {
		t.Helper()
		keys, err := source.read()
		if err != nil || len(keys) != 2 || !bytes.Equal(keys[0].key, first) || !bytes.Equal(keys[1].key, second) {
			t.Errorf("%s: %d peppers, %v", name, len(keys), err)
		}
	}
	for name, marked := range marks.Around(text) {
		file := filepath.Join(t.TempDir(), "pepper")
		if err := os.WriteFile(file, []byte(marked), 0o600); err != nil {
			t.Fatal(err)
		}
		check("file, "+name, Source{File: file})
		check("variable, "+name, Source{Text: marked})
	}
	check("blanks within", Source{Text: "1\u00a0" + base64.StdEncoding.EncodeToString(first) + "\u200b\n \t2 \u2003" + base64.StdEncoding.EncodeToString(second)})
	_, err := Source{Text: "# one\n\n1 " + base64.StdEncoding.EncodeToString(first)[1:]}.read()
	if err == nil || !strings.Contains(err.Error(), "line 3") || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a damaged line: %v", err)
	}
}
