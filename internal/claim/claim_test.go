package claim_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claim"
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

func TestFetch_SendsTheTokenAndReadsTheAnswer(t *testing.T) {
	pat, value := randomToken(), randomToken()
	server, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/kenbun/claim/"+id || r.URL.RawQuery != "" ||
			r.Header.Get("Authorization") != "Bearer "+pat.Reveal() || r.Header.Get("Accept") != "application/json" || r.Header.Get("User-Agent") != "test/1" {
			t.Errorf("the request is %s %s with %d headers", r.Method, r.URL, len(r.Header))
		}
		fmt.Fprintf(w, `{"id":"pat_1","name":"n","prefix":"p","expires_at":"2030-01-02T03:04:05Z","token":%q,"more":1}`, value.Reveal())
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

func TestR26_TokenGoesToTheServerAlone(t *testing.T) {
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
		"https://mcp.example.com#x", "https://mcp.example.com#", "https:mcp.example.com", "https://mcp.example.com:x",
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
	for name, c := range map[string]struct {
		status  int
		body    string
		refused string // code of a *RefusedError, "-" for one without
		is      error
		says    string
	}{
		"no such claim": {404, problem("no_such_claim", "you have no such claim"), "no_such_claim", nil, "you have no such claim"},
		"gone":          {410, problem("claim_fetched", "somebody fetched\x1b[31m it\nbefore"), "claim_fetched", nil, "somebody fetched"},
		"too many":      {429, problem("too_many_tries", "wait"), "too_many_tries", nil, "wait"},
		"forbidden":     {403, "<html>", "-", nil, "refused (status 403)"},
		"another site":  {404, "<html>", "-", nil, "there are no claims at 127.0.0.1"},
		"unauthorized":  {401, problem("invalid_token", "x"), "", client.ErrUnauthenticated, "does not accept your token"},
		"unavailable":   {503, "", "", client.ErrUnavailable, "try again in a moment"},
		"unexpected":    {204, "", "", nil, "unexpected status 204"},
		"no JSON":       {200, "<html>", "", nil, "cannot be read"},
		"no token":      {200, "{}", "", nil, "holds no token"},
		"endless":       {200, `{"token":"` + strings.Repeat("x", 1<<20), "", nil, "cannot be read"},
	} {
		server, count := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body) // the test fails by what is missing
		})
		_, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: randomToken()})
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
	value := randomToken()
	var count atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		fmt.Fprintf(w, `{"token":%q}`, value.Reveal())
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
	token, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: randomToken(), CAFile: file})
	if err != nil || !token.Value.Equal(value) {
		t.Errorf("with its authority: %v", err)
	}
}
