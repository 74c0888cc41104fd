//go:build unix

package server_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/server/edge"
)

func TestR36_TLSKeyOfOthersIsRefused(t *testing.T) {
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o640: "can read it", 0o644: "can read it", 0o604: "can read it", 0o620: "can write to it", 0o602: "can write to it",
	} {
		first, second := newCertificate(t), newCertificate(t)
		h := serveTLS(t, first)
		h.trusted.AddCert(second.Certificate)
		h.files.write(t, second.CertPEM, second.KeyPEM)
		if err := os.Chmod(h.files.key, mode); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			// A group that root is not in.
			if err := os.Chown(h.files.key, -1, 54321); err != nil {
				t.Fatal(err)
			}
		}
		_, err := edge.LoadCertificate(h.files.cert, h.files.key, slog.New(slog.DiscardHandler))
		if want == "" {
			if err != nil {
				t.Errorf("mode %o: %v", mode, err)
			}
			await(t, "the new certificate is shown", func() bool { return h.presented(t).Equal(second.Certificate) })
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "chmod 600 "+h.files.key) {
			t.Errorf("mode %o, at the start: %v", mode, err)
		}
		// While the server runs, the certificate before stays.
		await(t, "the refusal is logged", func() bool {
			if !h.presented(t).Equal(first.Certificate) {
				t.Fatalf("mode %o: the certificate whose key others can reach is in use", mode)
			}
			return strings.Contains(h.log.String(), want)
		})
	}
}
