package claim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claim"
)

// The server's verdict is its own JSON. Everything else says nothing about the claim
// or the token.
func TestP23_WhatSomethingInBetweenAnswersIsNoVerdictOnAClaim(t *testing.T) {
	page := http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Server": {"FortiGate"}}
	problem := `{"error":"missing_token","error_description":"x"}`
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		says   string
		is     error
	}{
		"401 as a page":       {401, page, "<title>Sign in</title>", `"Sign in (FortiGate)"`, client.ErrIntermediary},
		"401 with Basic":      {401, http.Header{"Www-Authenticate": {`Basic realm="corp"`}}, problem, "status 401", client.ErrIntermediary},
		"401 in other JSON":   {401, nil, `{"message":"no"}`, "status 401", client.ErrIntermediary},
		"401 without a body":  {401, http.Header{"Www-Authenticate": {"Bearer"}}, "", "status 401", client.ErrIntermediary},
		"403 of a gateway":    {403, http.Header{"X-Squid-Error": {"ERR_ACCESS_DENIED 0"}}, problem, "status 403", client.ErrIntermediary},
		"403 as a page":       {403, page, "<h1>Blocked", `"Blocked (FortiGate)"`, client.ErrIntermediary},
		"404 as a page":       {404, page, "", "check --server", client.ErrIntermediary},
		"407":                 {407, nil, problem, "status 407", client.ErrIntermediary},
		"410 as a page":       {410, page, "", "status 410", client.ErrIntermediary},
		"429 in plain text":   {429, http.Header{"Content-Type": {"text/plain"}}, "slow down", `"slow down"`, client.ErrIntermediary},
		"511":                 {511, nil, problem, "status 511", client.ErrIntermediary},
		"302":                 {302, http.Header{"Location": {"https://login.example/"}}, "", "redirect, which is not followed", client.ErrIntermediary},
		"200 as a page":       {200, page, "<title>Hotel guests</title>", `"Hotel guests (FortiGate)"`, client.ErrIntermediary},
		"204":                 {204, nil, "", "another try has it revoked", client.ErrIntermediary},
		"502 as a page":       {502, page, "<title>Bad Gateway</title>", "another try has it revoked", client.ErrUnavailable},
		"503 without a body":  {503, nil, "", "another try has it revoked", client.ErrUnavailable},
		"a token on the page": {403, page, "<title>" + randomToken().Reveal() + "</title>", "[redacted]", client.ErrIntermediary},
	} {
		server, count := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for field, values := range c.header {
				w.Header()[field] = values
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body) // the test fails by what is missing
		})
		_, err := claim.Fetch(t.Context(), claim.Request{Server: server.URL, ID: id, PAT: randomToken()})
		var refused *claim.RefusedError
		if !errors.Is(err, c.is) || errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) || count.Load() != 1 {
			t.Errorf("%s: %T %v, after %d requests", name, err, err, count.Load())
			continue
		}
		for _, never := range []string{"your token itself", "older kenbun-mcp", "no claims at", "kbn_" + "pat_"} {
			if strings.Contains(err.Error(), never) {
				t.Errorf("%s: %q is said for somebody else's answer: %v", name, never, err)
			}
		}
	}
}

// net/http reads the environment for proxies once per process, so these tests run the
// test binary again.
const child = "KENBUN_TEST_CLAIM_CHILD"

func TestMain_Child(t *testing.T) {
	if os.Getenv(child) == "" {
		return
	}
	_, err := claim.Fetch(context.Background(), claim.Request{Server: "https://mcp.kenbun.invalid", ID: id, PAT: randomToken(), CAFile: os.Getenv("CA_FILE")})
	var setting *claim.SettingError
	fmt.Printf("\nsetting: %t, unavailable: %t: %v\n", errors.As(err, &setting), errors.Is(err, client.ErrUnavailable), err)
}

func TestP20_P21_AClaimIsNotFetchedPastAProxyOrWithoutAnAuthorityThatWasAskedFor(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"empty": "", "key": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var status atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy was asked for %s", r.Method)
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer proxy.Close()
	for name, c := range map[string]struct {
		environment []string
		status      int32
		kind, says  string
	}{
		"a proxy that cannot be read": {[]string{"HTTPS_PROXY=http://ada:100%zz@proxy.example"}, 0, "setting: true", "HTTPS_PROXY cannot be read"},
		"ALL_PROXY alone":             {[]string{"ALL_PROXY=socks5://127.0.0.1:1080"}, 0, "setting: true", "ALL_PROXY asks for a proxy"},
		"exceptions that are none":    {[]string{"HTTPS_PROXY=" + proxy.URL, "NO_PROXY=10.0.0.0/33"}, 0, "setting: true", "NO_PROXY cannot be read"},
		"no file of authorities":      {[]string{"CA_FILE=" + filepath.Join(folder, "none")}, 0, "setting: true", filepath.Join(folder, "none") + " cannot be read: it does not exist"},
		"an empty one":                {[]string{"CA_FILE=" + filepath.Join(folder, "empty")}, 0, "setting: true", filepath.Join(folder, "empty") + " holds no certificate"},
		"one without a certificate":   {[]string{"CA_FILE=" + filepath.Join(folder, "key")}, 0, "setting: true", filepath.Join(folder, "key") + " holds no certificate"},
		"a folder":                    {[]string{"CA_FILE=" + folder}, 0, "setting: true", folder + " cannot be read"},
		"the system's file":           {[]string{"SSL_CERT_FILE=" + filepath.Join(folder, "none")}, 0, "setting: true", "SSL_CERT_FILE: "},
		"a proxy wants a login":       {[]string{"HTTPS_PROXY=" + proxy.URL}, 407, "unavailable: true", "wants a login, and nothing was sent"},
		"a proxy refuses":             {[]string{"HTTPS_PROXY=" + proxy.URL}, 403, "unavailable: true", "refused the connection, and nothing was sent"},
		"a proxy is away":             {[]string{"HTTPS_PROXY=http://127.0.0.1:1"}, 0, "unavailable: true", "the proxy on the way to mcp.kenbun.invalid (connection refused), and nothing was sent"},
	} {
		status.Store(c.status)
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMain_Child$", "-test.v")
		again.Env = append([]string{child + "=1"}, c.environment...)
		output, err := again.CombinedOutput()
		if text := string(output); err != nil || !strings.Contains(text, c.kind) || !strings.Contains(text, c.says) || strings.Contains(text, "100%zz") {
			t.Errorf("%s: %v, %s", name, err, text)
		}
	}
}
