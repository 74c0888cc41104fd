package client

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Whatever stands in an error body, what is made of it is short, visible and
// without a token. "@" in the input stands for the value of the token in use.
func FuzzErrorBody(f *testing.F) {
	for _, seed := range []string{
		"", "{", "null", `{"error":{"message":"a"}}`, `{"errors":[["a"]]}`, "<html>", `"\u202e"`, "\xff\xfe",
		`{"message":"bearer ` + strings.Repeat("a", 40) + `"}`, `{"message":"x@y"}`, `{"code":"@","request_id":"@","detail":["@"]}`,
	} {
		f.Add("application/json", seed, seed)
		f.Add("text/plain", seed, "r-1")
	}
	value := patPrefix + rand.Text() + rand.Text()
	f.Fuzz(func(t *testing.T, contentType, body, requestID string) {
		cl := &call{op: opListTokens, method: http.MethodGet, secret: NewSecret(value)}
		withValue := func(s string) string { return strings.ReplaceAll(s, "@", value) }
		e := statusError(cl, &answer{
			status: 400, header: http.Header{"Content-Type": {contentType}, "X-Request-Id": {withValue(requestID)}}, body: []byte(withValue(body)),
		})
		if !utf8.ValidString(e.Message) || utf8.RuneCountInString(e.Message) > maxMessageRunes || strings.TrimSpace(e.Message) != e.Message {
			t.Errorf("message is %q", e.Message)
		}
		for _, r := range e.Message {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("message holds %U", r)
			}
		}
		if again := cleanMessage(e.Message, cl.secret); again != e.Message {
			t.Errorf("cleaning twice changes %q to %q", e.Message, again)
		}
		for _, identifier := range []string{e.APICode, e.RequestID} {
			for _, r := range identifier {
				if r <= ' ' || r > '~' {
					t.Errorf("identifier %q holds %U", identifier, r)
				}
			}
			if len(identifier) > 64 {
				t.Errorf("identifier %q is too long", identifier)
			}
		}
		secret := value[len(patPrefix):]
		for _, shown := range []string{e.Error(), e.Message, e.APICode, e.RequestID} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q holds the token", strings.ReplaceAll(shown, secret, "@"))
			}
		}
	})
}

// The text that an API gives in any of the usual forms is found.
func FuzzErrorBodyForms(f *testing.F) {
	f.Add("The token has expired", "expired")
	f.Add("a", "b")
	f.Fuzz(func(t *testing.T, message, code string) {
		cl := &call{op: opListTokens, method: http.MethodGet}
		want := cleanMessage(message, Secret{})
		if !utf8.ValidString(message) || strings.TrimSpace(message) == "" {
			t.Skip("not a message")
		}
		for _, form := range []any{
			map[string]any{"message": message, "code": code},
			map[string]any{"detail": message, "title": "x", "code": code},
			map[string]any{"error": map[string]any{"message": message, "code": code}},
			map[string]any{"errors": []any{map[string]any{"detail": message, "code": code}}},
		} {
			body, err := json.Marshal(form)
			if err != nil {
				t.Fatal(err)
			}
			e := statusError(cl, &answer{status: 400, header: http.Header{"Content-Type": {"application/problem+json"}}, body: body})
			if e.Message != want || e.APICode != identifier(code, Secret{}) {
				t.Errorf("%s: %q, %q; want %q", body, e.Message, e.APICode, want)
			}
		}
	})
}
