package claimkey_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
)

const id = "claim_ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func randomToken() client.Secret {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	return client.NewSecret("kbn" + "_pat_" + hex.EncodeToString(random))
}

func derive(t *testing.T, pat client.Secret, id string) *claimkey.Keys {
	t.Helper()
	keys, err := claimkey.Derive(pat, id)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestConstruction computes every value of the construction a second time, from
// its description and the standard library alone.
func TestConstruction(t *testing.T) {
	pat := randomToken()
	keys := derive(t, pat, id)
	key := func(info string) []byte {
		key, err := hkdf.Key(sha256.New, []byte(pat.Reveal()), []byte("kenbun-mcp claim v2"), info, 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if want := key("proof\x00" + id); !bytes.Equal(keys.Proof, want) {
		t.Errorf("the proof key is %x, want %x", keys.Proof, want)
	}
	mac := hmac.New(sha256.New, key("proof\x00"+id))
	mac.Write([]byte("kenbun-mcp claim v2\x00" + id + "\x00mcp.example.com"))
	if got := claimkey.Prove(keys.Proof, id, "mcp.example.com"); !bytes.Equal(got, mac.Sum(nil)) {
		t.Errorf("the proof is %x, want %x", got, mac.Sum(nil))
	}
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	want := claimkey.Payload{ID: "pat_1", Name: "n", CreatedAt: expires, ExpiresAt: &expires, Token: randomToken().Reveal()}
	sealed, err := keys.Seal(want)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key("value\x00" + id))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, sealed[:12], sealed[12:], []byte("kenbun-mcp claim v2\x00"+id))
	if err != nil {
		t.Fatal(err)
	}
	var got claimkey.Payload
	if err := json.Unmarshal(plain, &got); err != nil || got.Token != want.Token || got.ID != want.ID || !got.ExpiresAt.Equal(expires) {
		t.Errorf("sealed is %s", plain)
	}
	if opened, err := keys.Open(sealed); err != nil || opened.Token != want.Token {
		t.Errorf("opened is %+v, %v", opened, err)
	}
}

func TestSealedOpensForItsTokenAndClaimAlone(t *testing.T) {
	pat := randomToken()
	keys := derive(t, pat, id)
	sealed, err := keys.Seal(claimkey.Payload{Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	other := id[:len(id)-1] + "A"
	for name, wrong := range map[string]*claimkey.Keys{"another token": derive(t, randomToken(), id), "another claim": derive(t, pat, other)} {
		if _, err := wrong.Open(sealed); !errors.Is(err, claimkey.ErrNotSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := keys.Open(altered); !errors.Is(err, claimkey.ErrNotSealed) {
			t.Errorf("altered at %d: %v", i, err)
		}
	}
	for _, short := range [][]byte{nil, sealed[:12], sealed[:len(sealed)-1]} {
		if _, err := keys.Open(short); !errors.Is(err, claimkey.ErrNotSealed) {
			t.Errorf("%d bytes: %v", len(short), err)
		}
	}
	proof := claimkey.Prove(keys.Proof, id, "mcp.example.com")
	if !claimkey.Proves(proof, keys.Proof, id, "mcp.example.com") {
		t.Error("the right proof proves nothing")
	}
	if claimkey.Proves(proof, keys.Proof, id, "evil.example") || claimkey.Proves(proof, keys.Proof, other, "mcp.example.com") ||
		claimkey.Proves(proof, derive(t, randomToken(), id).Proof, id, "mcp.example.com") || claimkey.Proves(nil, keys.Proof, id, "mcp.example.com") {
		t.Error("a proof proves something else")
	}
	if _, err := claimkey.Derive(client.Secret{}, id); err == nil {
		t.Error("keys are derived from no token")
	}
}

func TestNormalHost_LeavesOutThePortOfItsSchemeAlone(t *testing.T) {
	for given, want := range map[string]string{
		"mcp.example.com": "mcp.example.com", "MCP.Example.COM": "mcp.example.com", "mcp.example.com:443": "mcp.example.com",
		"mcp.example.com:80": "mcp.example.com:80", "mcp.example.com:8443": "mcp.example.com:8443", "127.0.0.1:8765": "127.0.0.1:8765",
		"[::1]:8765": "[::1]:8765", "[0:0::1]": "[::1]", "[::1]:443": "[::1]",
		"": "", ":443": "", "mcp.example.com:": "", "user@mcp.example.com": "", "mcp.example.com/x": "", "mcp.exämple.com": "",
		"mcp.example.com?x": "", "mcp.example.com#x": "", "[fe80::1%25eth0]": "", "mcp.example.com:x": "",
	} {
		if got, ok := claimkey.NormalHost("https", given); got != want || ok != (want != "") {
			t.Errorf("https, %q gives %q, %t, want %q", given, got, ok, want)
		}
	}
	for given, want := range map[string]string{"localhost:80": "localhost", "localhost:443": "localhost:443", "localhost": "localhost", "localhost:8765": "localhost:8765"} {
		if got, ok := claimkey.NormalHost("http", given); got != want || !ok {
			t.Errorf("http, %q gives %q, %t, want %q", given, got, ok, want)
		}
	}
}
