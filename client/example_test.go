package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// examplePAT makes a token of the right form; a program reads its own from the
// environment or the keychain.
func examplePAT() client.Secret { return client.NewSecret("kbn_pat_" + rand.Text()) }

// serve answers each request with status and a JSON body.
func serve(status int, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet && status == http.StatusCreated {
			_, _ = io.WriteString(w, "[]")
			return
		}
		if r.Method == http.MethodGet && r.URL.Path == "/settings/tokens" && status == http.StatusOK && body[0] == '{' {
			_, _ = io.WriteString(w, "["+body+"]") // what was changed, in the list
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

func ExampleNew() {
	c, err := client.New(
		client.WithTimeout(10*time.Second),
		client.WithRetry(2, 100*time.Millisecond, 2*time.Second),
		client.WithUserAgent("nightly-import/1.4"),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.BaseURL())

	_, err = client.New(client.WithBaseURL("http://api.kenbun.io"))
	fmt.Println(err)
	// Output:
	// https://api.kenbun.io
	// the API address must begin with https://, since a token would travel in the clear; http:// is for localhost, 127.0.0.0/8 and [::1] only
}

func ExampleParsePAT() {
	_, err := client.ParsePAT("Bearer " + examplePAT().Reveal())
	fmt.Println(err)

	pat, err := client.ParsePAT(examplePAT().Reveal())
	fmt.Println(pat, err)
	// Output:
	// the token has something before it, such as the word Bearer or the name of a header or a variable; leave that out and give the token alone
	// [redacted] <nil>
}

// A server keeps one Client and makes a Caller for each request, with the token
// that came with it.
func ExampleClient_As() {
	api := serve(http.StatusOK, `{"org_member_id": "om_abc123", "email": "ada@example.com", "role": "admin", "verified": true}`)
	defer api.Close()
	c, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()

	me, err := c.As(client.Credential{PAT: examplePAT()}).Me(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q is %s\n", me.Email, me.Role)
	// Output: "ada@example.com" is admin
}

func ExampleCaller_ListTokens() {
	api := serve(http.StatusOK, `[
		{"id": "pat_abc123", "name": "MCP Server - Laptop", "token_prefix": "kbn_pat_a1b2c3d4", "created_at": "2026-03-28T10:00:00Z",
		 "last_used_at": "2026-03-28T14:22:00Z", "expires_at": "2027-01-01T00:00:00Z", "revoked_at": null},
		{"id": "pat_def456", "name": "CI Pipeline", "token_prefix": "kbn_pat_d4e5f6a1", "created_at": "2026-02-01T09:00:00Z",
		 "last_used_at": null, "expires_at": null, "revoked_at": "2026-03-01T12:00:00Z"}]`)
	defer api.Close()
	c, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()

	tokens, err := c.As(client.Credential{PAT: examplePAT()}).ListTokens(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	for _, t := range tokens {
		fmt.Printf("%s %q %s\n", t.ID, t.Name, t.Status(now)) // %q: a name is somebody's input
	}
	// Output:
	// pat_abc123 "MCP Server - Laptop" active
	// pat_def456 "CI Pipeline" revoked
}

func ExampleCaller_CreateToken() {
	api := serve(http.StatusCreated, fmt.Sprintf(`{"id": "pat_abc123", "name": "nightly import", "token": %q,
		"created_at": "2026-03-28T10:00:00Z", "expires_at": "2026-04-27T10:00:00Z"}`, examplePAT().Reveal()))
	defer api.Close()
	c, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()

	expires := time.Now().AddDate(1, 0, 0)
	created, err := c.As(client.Credential{PAT: examplePAT()}).CreateToken(context.Background(), client.NewToken{
		Name:      "nightly import",
		ExpiresAt: &expires,
	})
	var doubt *client.CreateError
	switch {
	case errors.As(err, &doubt) && doubt.Outcome == client.OutcomeUnknown:
		log.Fatalf("look for %q yourself: %v", doubt.Name, err)
	case err != nil:
		log.Fatal(err) // nothing of this call is live
	}
	fmt.Println(created.ID, created.Value)
	// created.Value.Reveal() is what the person needs, this once.
	// Output: pat_abc123 [redacted]
}

// A token gets less: it may read leads alone, and it ends.
func ExampleCaller_UpdateToken() {
	api := serve(http.StatusOK, `{"id": "pat_abc123", "name": "CI Pipeline", "token_prefix": "kbn_pat_d4e5f6a1", "created_at": "2026-02-01T09:00:00Z",
		"last_used_at": null, "expires_at": "2199-12-31T23:59:59Z", "revoked_at": null, "permissions": ["read:leads"]}`)
	defer api.Close()
	c, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()

	expires := time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC)
	token, err := c.As(client.Credential{PAT: examplePAT()}).UpdateToken(context.Background(), "pat_abc123", client.TokenChange{
		ExpiresAt:   &expires,
		Permissions: []string{"read:leads"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.ID, token.Permissions, token.ExpiresAt)
	// Output: pat_abc123 [read:leads] 2199-12-31 23:59:59 +0000 UTC
}

func Example_errors() {
	api := serve(http.StatusUnauthorized, `{"error": {"code": "unauthenticated", "message": "token expired", "request_id": "req_7"}}`)
	defer api.Close()
	c, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()

	_, err = c.As(client.Credential{PAT: examplePAT()}).ListTokens(context.Background())
	fmt.Println(errors.Is(err, client.ErrUnauthenticated), errors.Is(err, client.ErrUnavailable))
	var apiErr *client.Error
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.Status, apiErr.Message, apiErr.RequestID)
	}
	fmt.Println(err)
	// Output:
	// true false
	// 401 token expired req_7
	// list tokens: the API does not accept the token; it may be revoked, expired or copied incompletely; the API said "token expired" (status 401, request id req_7)
}
