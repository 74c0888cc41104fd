package state_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/state"
)

// A connection over TLS never trusts something else than was asked for.
func TestP20_StateOverTLSRefusesCertificatesThatCannotBeRead(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return // the variable means nothing there
	}
	none := filepath.Join(t.TempDir(), "none.pem")
	for _, scheme := range []string{"redis", "rediss"} {
		t.Setenv("SSL_CERT_FILE", none)
		_, err := state.Open(t.Context(), state.Config{Address: scheme + "://127.0.0.1:1", Key: state.NewKey()})
		if err == nil || strings.Contains(err.Error(), "SSL_CERT_FILE") != (scheme == "rediss") {
			t.Errorf("%s: %v", scheme, err)
		}
		t.Setenv("SSL_CERT_FILE", "")
		_, err = state.Open(t.Context(), state.Config{Address: scheme + "://127.0.0.1:1", Key: state.NewKey(), CAFile: none})
		if err == nil || !strings.Contains(err.Error(), none) {
			t.Errorf("%s with --ca-file: %v", scheme, err)
		}
	}
}
