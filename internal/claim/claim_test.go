package claim_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claim"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func randomToken() client.Secret {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	return client.NewSecret("kbn" + "_pat_" + hex.EncodeToString(random))
}

// answering serves one answer and counts the requests.
func answering(t *testing.T, answer http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var count atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server, &count
}

const id = "claim_ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// sealing answers as a server does that had pat.
func sealing(t *testing.T, pat client.Secret, payload claimkey.Payload) string {
	t.Helper()
	keys, err := claimkey.Derive(pat, id)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := keys.Seal(payload)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(claimkey.Answer{Version: claimkey.Version, Sealed: sealed})
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestFetch_SendsAProofAndOpensTheAnswer(t *testing.T) {
	pat, value := randomToken(), randomToken()
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	answer := sealing(t, pat, claimkey.Payload{ID: "pat_1", Name: "n", ExpiresAt: &expires, Token: value.Reveal()})
	keys, err := claimkey.Derive(pat, id)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodPost || r.URL.Path != "/kenbun/claim/"+id || r.URL.RawQuery != "" || r.Header.Get("Authorization") != "" ||
			r.Header.Get("Accept") != "application/json" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("User-Agent") != "test/1" {
			t.Errorf("the request is %s %s with %d headers", r.Method, r.URL, len(r.Header))
		}
		var request claimkey.Request
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Version != claimkey.Version || !claimkey.Proves(request.Proof, keys.Proof, id, r.Host) {
			t.Errorf("the request holds no proof for %s: %+v, %v", r.Host, request, err)
		}
		_, _ = io.WriteString(w, answer) // the test fails by what is missing
	})
	for _, address := range []string{server.URL + "/kenbun", server.URL + "/kenbun/"} {
		token, err := claim.Fetch(t.Context(), claim.Request{Server: address, ID: id, PAT: pat, UserAgent: "test/1"})
		if err != nil {
			t.Fatal(err)
		}
		if !token.Value.Equal(value) || token.ID != "pat_1" || token.Name != "n" || token.Prefix != value.Prefix() || token.ExpiresAt.Year() != 2030 {
			t.Errorf("got %+v", token)
		}
	}
}

// TestFetch_SendsNothingThatOpensAnything looks for the token and every key that is
// derived from it in the bytes that arrive at a server.
func TestFetch_SendsNothingThatOpensAnything(t *testing.T) {
	pat := randomToken()
	keys, err := claimkey.Derive(pat, id)
	if err != nil {
		t.Fatal(err)
	}
	value, err := pat.DeriveKey("kenbun-mcp claim v2", "value\x00"+id)
	if err != nil {
		t.Fatal(err)
	}
	var arrived []byte
	server, count := answering(t, func(w http.ResponseWriter, r *http.Request) {
		arrived, _ = httputil.DumpRequest(r, true) // the test fails by what is missing
		w.WriteHeader(http.StatusUnauthorized)
	})
	if _, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: pat}); err == nil || count.Load() != 1 || !strings.Contains(string(arrived), "proof") {
		t.Fatalf("%v: nothing was tried: %s", err, arrived)
	}
	for name, secret := range map[string][]byte{"the token": []byte(pat.Reveal()[16:]), "the key of the value": value, "the key of proofs": keys.Proof} {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)} {
			if strings.Contains(string(arrived), form) {
				t.Errorf("%s arrives", name)
			}
		}
	}
}

func TestR26_ProofGoesToTheServerAlone(t *testing.T) {
	elsewhere, arrived := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		server, count := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/claim/"+id)
			w.WriteHeader(status)
		})
		_, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: randomToken()})
		if err == nil || !strings.Contains(err.Error(), "redirect, which is not followed") || count.Load() != 1 {
			t.Errorf("%d: %v, after %d requests", status, err, count.Load())
		}
	}
	if arrived.Load() != 0 {
		t.Errorf("%d requests went where a redirect led", arrived.Load())
	}
	for _, address := range []string{
		"", "mcp.example.com", "http://mcp.example.com", "http://192.0.2.1", "http://[::ffff:127.0.0.1]", "http://localhost.example.com",
		"ftp://mcp.example.com", "https://", "https://user:secret@mcp.example.com", "https://mcp.example.com?x=1", "https://mcp.example.com?",
		"https://mcp.example.com#x", "https://mcp.example.com#", "https:mcp.example.com", "https://mcp.example.com:x", "https://mcp.exämple.com", "https://[fe80::1%25eth0]",
	} {
		_, err := claim.Fetch(t.Context(), claim.Request{Server: address, ID: id, PAT: randomToken()})
		if !errors.Is(err, claim.ErrInvalidServer) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestFetch_TellsWhyThereIsNoToken(t *testing.T) {
	problem := func(code, text string) string {
		body, err := json.Marshal(map[string]string{"error": code, "error_description": text})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	mine := randomToken()
	for name, c := range map[string]struct {
		status  int
		body    string
		refused string // code of a *RefusedError, "-" for one without
		is      error
		says    string
	}{
		"no such claim":   {404, problem("no_such_claim", "you have no such claim"), "no_such_claim", nil, "you have no such claim"},
		"gone":            {410, problem("claim_fetched", "somebody fetched\x1b[31m it\nbefore"), "claim_fetched", nil, "somebody fetched"},
		"too many":        {429, problem("too_many_tries", "wait"), "too_many_tries", nil, "wait"},
		"another server":  {404, problem("not_found", "there is nothing here"), "not_found", nil, "there are no claims at 127.0.0.1"},
		"for itself":      {401, `{"error":"missing_token","error_description":"x","reason":"missing_key"}`, "missing_token", nil, "there are no claims at 127.0.0.1"},
		"an older server": {401, problem("missing_token", "x"), "outdated_server", nil, "wants your token itself, which is not sent"},
		"a newer server":  {400, problem("unsupported_version", "this server speaks version 3"), "unsupported_version", nil, "version 3"},
		"another version": {200, `{"version":3}`, "", nil, "another version of the protocol"},
		"version 1":       {200, `{"token":"x"}`, "", nil, "another version of the protocol"},
		"not for us":      {200, sealing(t, randomToken(), claimkey.Payload{Token: randomToken().Reveal()}), "", nil, "was not sealed for your token"},
		"unavailable":     {503, problem("temporarily_unavailable", "x"), "", client.ErrUnavailable, "cannot give claims out right now"},
		"unexpected":      {405, problem("method_not_allowed", "x"), "", nil, "unexpected status 405"},
		"no token":        {200, sealing(t, mine, claimkey.Payload{Token: "x"}), "", nil, "holds no token"},
		"endless":         {200, `{"token":"` + strings.Repeat("x", 1<<20), "", nil, "cannot be read"},
	} {
		server, count := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body) // the test fails by what is missing
		})
		_, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: mine})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: error %q, want one that says %q", name, err, c.says)
			continue
		}
		var refused *claim.RefusedError
		if is := errors.As(err, &refused); is != (c.refused != "") || is && c.refused != "-" && refused.Code != c.refused {
			t.Errorf("%s: %T %v", name, err, err)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v is not %v", name, err, c.is)
		}
		if count.Load() != 1 {
			t.Errorf("%s: %d requests were sent", name, count.Load())
		}
	}
	if _, err := claim.Fetch(t.Context(), claim.Request{Server: "http://127.0.0.1:1", ID: id, PAT: randomToken()}); !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "nothing was sent") {
		t.Errorf("out of reach: %v", err)
	}
	server, count := answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: randomToken()}); !errors.Is(err, client.ErrUnavailable) || count.Load() != 1 {
		t.Errorf("a lost answer: %v after %d requests", err, count.Load())
	}
}

func TestR27_CertificateIsChecked(t *testing.T) {
	pat, value := randomToken(), randomToken()
	answer := sealing(t, pat, claimkey.Payload{Token: value.Reveal()})
	var count atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer) // the test fails by what is missing
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: randomToken()})
	if err == nil || !strings.Contains(err.Error(), "--ca-file") || count.Load() != 0 {
		t.Errorf("%v, after %d requests", err, count.Load())
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: pat, CAFile: file})
	if err != nil || !token.Value.Equal(value) {
		t.Errorf("with its authority: %v", err)
	}
}
