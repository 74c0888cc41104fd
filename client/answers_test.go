package client

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestK2_ListTokens(t *testing.T) {
	expires := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	body := `[{"id":"pat_abc123","name":"MCP Server - Laptop","token_prefix":"kbn_pat_a1b2c3d4","created_at":"2026-03-28T10:00:00Z",
		"last_used_at":"2026-03-28T14:22:00.5+02:00","expires_at":"2027-01-01T00:00:00Z","revoked_at":null},
		{"id":"pat_def456","name":"a\u202eb\u0000","token_prefix":"kbn_pat_d4e5f6a1","created_at":"2026-02-01T09:00:00Z",
		"last_used_at":null,"expires_at":null,"revoked_at":"2026-03-01T12:00:00Z","valid_from":"2026-02-02T00:00:00Z","permissions":[]}]`
	tokens, err := newTestCaller(t, answering(t, 200, "application/json; charset=utf-8", body).URL).ListTokens(t.Context())
	if err != nil || len(tokens) != 2 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	first, second := tokens[0], tokens[1]
	if first.ID != "pat_abc123" || first.Prefix != "kbn_pat_a1b2c3d4" || !first.ExpiresAt.Equal(expires) || first.RevokedAt != nil ||
		!first.LastUsedAt.Equal(time.Date(2026, 3, 28, 12, 22, 0, 500e6, time.UTC)) || first.ValidFrom != nil || first.Permissions != nil {
		t.Errorf("first is %+v", first)
	}
	if second.Name != "a\u202eb\x00" {
		t.Errorf("the name was changed to %q", second.Name)
	}
	if second.LastUsedAt != nil || second.ExpiresAt != nil || second.RevokedAt == nil || second.ValidFrom == nil || second.Permissions == nil || len(second.Permissions) != 0 {
		t.Errorf("second is %+v", second)
	}
	if tokens, err := newTestCaller(t, answering(t, 200, "application/json", "[]").URL).ListTokens(t.Context()); err != nil || tokens == nil || len(tokens) != 0 {
		t.Errorf("an empty list: %v, %v", tokens, err)
	}
}

func TestR18_UnknownFieldsAreDropped(t *testing.T) {
	planted := randomPAT()
	body := fmt.Sprintf(`[{"id":"pat_1","created_at":"2026-03-28T10:00:00Z","token":%q,"secret":%q,"runners_token":%q,"nested":{"token":%q}}]`, planted, planted, planted, planted)
	tokens, err := newTestCaller(t, answering(t, 200, "application/json", body).URL).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(tokens)
	if err != nil || strings.Contains(fmt.Sprintf("%#v %s", tokens, encoded), planted) {
		t.Errorf("an unknown field came through: %v", err)
	}
}

func TestTokenJSONIsTheWire(t *testing.T) {
	created := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for want, token := range map[string]Token{
		`{"id":"a","name":"n","token_prefix":"p","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":null,"revoked_at":null}`:                                                                        {ID: "a", Name: "n", Prefix: "p", CreatedAt: created},
		`{"id":"a","name":"n","token_prefix":"p","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":"2026-03-28T10:00:00Z","revoked_at":null,"valid_from":"2026-03-28T10:00:00Z","permissions":[]}`: {ID: "a", Name: "n", Prefix: "p", CreatedAt: created, ExpiresAt: &created, ValidFrom: &created, Permissions: []string{}},
	} {
		if got, err := json.Marshal(token); err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestK8_Status(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	before, after := now.Add(-time.Nanosecond), now.Add(time.Nanosecond)
	for _, tc := range []struct {
		name  string
		token Token
		want  Status
	}{
		{"no end", Token{}, StatusActive},
		{"ends later", Token{ExpiresAt: &after}, StatusActive},
		{"ends now", Token{ExpiresAt: &now}, StatusExpired},
		{"ended", Token{ExpiresAt: &before}, StatusExpired},
		{"revoked", Token{RevokedAt: &before, ExpiresAt: &after}, StatusRevoked},
		{"revoked and ended", Token{RevokedAt: &before, ExpiresAt: &before}, StatusRevoked},
		{"begins now", Token{ValidFrom: &now}, StatusActive},
		{"begins later", Token{ValidFrom: &after}, StatusNotYetValid},
		{"begins later, ended", Token{ValidFrom: &after, ExpiresAt: &before}, StatusExpired},
	} {
		if got := tc.token.Status(now); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestMeAndOrgUnits(t *testing.T) {
	u := newTestCaller(t, newFakeAPI(t).URL)
	me, err := u.Me(t.Context())
	if err != nil || !reflect.DeepEqual(*me, Me{OrgMemberID: "om_1", FirstName: "Ada", LastName: "L", Email: "ada@example.com", Role: "admin", Verified: true}) {
		t.Errorf("%+v, %v", me, err)
	}
	units, err := u.OrgUnits(t.Context())
	if err != nil || len(units) != 1 || units[0] != (OrgUnit{ID: "unit_emea", OrgID: "org_1", Name: "EMEA", Slug: "emea", IsDefault: true}) {
		t.Errorf("%+v, %v", units, err)
	}
}

// A25: answers that are none of the API's.
func TestA25_HostileAnswers(t *testing.T) {
	const good = `{"id":"pat_1","created_at":"2026-03-28T10:00:00Z"}`
	for name, tc := range map[string]struct{ contentType, body, says string }{
		"HTML":                      {"text/html", "<html><title>Sign in</title>", "not JSON"},
		"HTML that claims to be":    {"application/json", "<html>", "malformed"},
		"JSON that claims not to":   {"text/plain", "[]", "not JSON"},
		"no content type":           {"", "[]", "not JSON"},
		"empty":                     {"application/json", "", "empty"},
		"cut":                       {"application/json", "[" + good, "malformed"},
		"null":                      {"application/json", "null", "not a list"},
		"object":                    {"application/json", good, "not a list"},
		"string":                    {"application/json", `"x"`, "not a list"},
		"trailing data":             {"application/json", "[" + good + "] []", "malformed"},
		"two values":                {"application/json", "[][]", "malformed"},
		"null entry":                {"application/json", "[null]", "entry 1"},
		"no id":                     {"application/json", `[` + good + `,{"created_at":"2026-03-28T10:00:00Z"}]`, "entry 2 of the token list has no id"},
		"no created_at":             {"application/json", `[{"id":"pat_1"}]`, "created_at"},
		"created_at null":           {"application/json", `[{"id":"pat_1","created_at":null}]`, "created_at"},
		"created_at of other form":  {"application/json", `[{"id":"pat_1","created_at":"yesterday"}]`, "malformed"},
		"expiry of other form":      {"application/json", `[{"id":"pat_1","created_at":"2026-03-28T10:00:00Z","expires_at":0}]`, "malformed"},
		"empty expiry is not never": {"application/json", `[{"id":"pat_1","created_at":"2026-03-28T10:00:00Z","expires_at":""}]`, "malformed"},
		"id of other type":          {"application/json", `[{"id":1,"created_at":"2026-03-28T10:00:00Z"}]`, "malformed"},
		"deep":                      {"application/json", strings.Repeat("[", 500_000), "malformed"},
		"oversize entry":            {"application/json", `[{"name":"` + strings.Repeat("x", 2*maxEntryBytes), "32 KiB"},
		"endless white space":       {"application/json", "[" + strings.Repeat(" ", 2*maxEntryBytes), "32 KiB"},
		"white space after the end": {"application/json", "[]" + strings.Repeat(" ", 2*maxEntryBytes), "32 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newTestCaller(t, answering(t, 200, tc.contentType, tc.body).URL).ListTokens(t.Context())
			if !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(fmt.Sprint(err), tc.says) {
				t.Errorf("error is %v, want ErrUnexpectedAnswer that says %q", err, tc.says)
			}
			if e := mustError(t, err); e.Attempts != 1 {
				t.Errorf("asked %d times", e.Attempts)
			}
		})
	}
	for _, contentType := range []string{"application/json", "application/json;charset=utf-8", "Application/JSON", "application/hal+json"} {
		if _, err := newTestCaller(t, answering(t, 200, contentType, "[]").URL).ListTokens(t.Context()); err != nil {
			t.Errorf("%s: %v", contentType, err)
		}
	}
	whole := "[" + strings.Repeat(" ", maxAnswerBytes-2) + "]"
	if _, err := newTestCaller(t, answering(t, 200, "application/json", whole).URL).OrgUnits(t.Context()); err != nil {
		t.Errorf("an answer of exactly 1 MiB: %v", err)
	}
	if _, err := newTestCaller(t, answering(t, 200, "application/json", whole+" ").URL).OrgUnits(t.Context()); !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("an answer of more than 1 MiB: %v", err)
	}
	for name, body := range map[string]string{"null": "null", "empty object": "{}", "list": "[]"} {
		if _, err := newTestCaller(t, answering(t, 200, "application/json", body).URL).Me(t.Context()); !errors.Is(err, ErrUnexpectedAnswer) {
			t.Errorf("me, %s: %v", name, err)
		}
	}
	for name, body := range map[string]string{"null": "null", "object": "{}", "no id": `[{"name":"x"}]`} {
		if _, err := newTestCaller(t, answering(t, 200, "application/json", body).URL).OrgUnits(t.Context()); !errors.Is(err, ErrUnexpectedAnswer) {
			t.Errorf("units, %s: %v", name, err)
		}
	}
}

// A24: the limit counts what comes out of the compression, not what goes in.
func TestA24_CompressedBomb(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			http.Error(w, "no gzip", http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		zeros := []byte(strings.Repeat(" ", 1<<20))
		for range 64 {
			if _, err := zip.Write(zeros); err != nil {
				return // the client has had enough
			}
		}
	}))
	t.Cleanup(srv.Close)
	if _, err := newTestCaller(t, srv.URL).ListTokens(t.Context()); !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), "32 KiB") {
		t.Errorf("the list: %v", err)
	}
	if _, err := newTestCaller(t, srv.URL).Me(t.Context()); !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("the user: %v", err)
	}
}

func TestR24_OversizeHeaders(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaderBytes))
		writeJSON(w, http.StatusOK, []Token{})
	}))
	t.Cleanup(srv.Close)
	_, err := newTestCaller(t, srv.URL).ListTokens(t.Context())
	if !errors.Is(err, ErrUnexpectedAnswer) {
		t.Errorf("error is %v", err)
	}
}
