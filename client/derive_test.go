package client_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
)

func TestDeriveKey_IsHKDFOfTheToken(t *testing.T) {
	secret := client.NewSecret("a secret of the test")
	got, err := secret.DeriveKey("purpose", "info")
	if err != nil {
		t.Fatal(err)
	}
	// RFC 5869 by hand: PRK = HMAC(salt, IKM), T(1) = HMAC(PRK, info | 0x01).
	extract := hmac.New(sha256.New, []byte("purpose"))
	extract.Write([]byte("a secret of the test"))
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("info\x01"))
	if want := expand.Sum(nil); !bytes.Equal(got, want) || len(got) != client.DerivedKeySize {
		t.Errorf("got %x, want %x", got, want)
	}
	for name, other := range map[string]func() ([]byte, error){
		"another secret":  func() ([]byte, error) { return client.NewSecret("another").DeriveKey("purpose", "info") },
		"another purpose": func() ([]byte, error) { return secret.DeriveKey("purposes", "info") },
		"another info":    func() ([]byte, error) { return secret.DeriveKey("purpose", "inf") },
	} {
		if key, err := other(); err != nil || bytes.Equal(key, got) {
			t.Errorf("%s gives the same key, %v", name, err)
		}
	}
	if key, err := (client.Secret{}).DeriveKey("purpose", "info"); err == nil || key != nil {
		t.Error("a key is derived from nothing")
	}
}
