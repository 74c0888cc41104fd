//go:build unix

package server_test

import (
	"os"
	"strings"
	"testing"
)

func TestTLS_KeyThatOthersCanReadIsTold(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o604: true} {
		first, second := newCertificate(t), newCertificate(t)
		h := serveTLS(t, first)
		h.trusted.AddCert(second.Certificate)
		if err := os.Chmod(h.files.key, mode); err != nil {
			t.Fatal(err)
		}
		h.files.write(t, second.CertPEM, second.KeyPEM) // the mode stays
		await(t, "the new certificate is shown", func() bool { return h.presented(t).Equal(second.Certificate) })
		if told := strings.Contains(h.log.String(), "other users of this machine can read the TLS private key"); told != want {
			t.Errorf("mode %o: told %t, want %t: %s", mode, told, want, h.log.String())
		}
	}
}
