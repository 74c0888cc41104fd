package authority

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// record sends a request to a handler without a socket.
func record(h http.Handler, method, path string, headers ...string) answer {
	r := httptest.NewRequest(method, path, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

func TestR17_NothingElseIsSetThroughTheBody(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for _, field := range []string{
		"id", "user_id", "owner", "org_id", "role", "token", "token_prefix", "digest", "hash", "created_at", "last_used_at",
		"revoked_at", "validFrom", "scopes", "expiresAt", "__proto__", "",
	} {
		body, err := json.Marshal(map[string]any{"name": "x", field: "2027-01-01T00:00:00Z"})
		if err != nil {
			t.Fatal(err)
		}
		got := f.send("POST", "/settings/tokens", string(body), bearer(issued.Value))
		wantProblem(t, got, http.StatusBadRequest, "invalid_request")
		if !strings.Contains(got.body, "name, expires_at") {
			t.Errorf("%s: the answer does not teach the fields: %s", field, got.shown())
		}
	}
	if list := decode[[]row](t, f.send("GET", "/settings/tokens", "", bearer(issued.Value))); len(list) != 1 {
		t.Errorf("refused requests made %d tokens", len(list)-1)
	}
}

func TestR30_StrictJSON(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for _, body := range []string{
		"",
		" ",
		"null",
		"[]",
		`"name"`,
		"{}",
		`{"name"}`,
		`{"name": "x"`,
		`{"name": "x",}`,
		`{"name": "x"} {"name": "y"}`,
		`{"name": "x"}]`,
		`{"name": "x"}garbage`,
		`{'name': 'x'}`,
		`{"name": "x" /* comment */}`,
		"\ufeff" + `{"name": "x"}`,
		`{"name": "x", "name": "y"}`,
		`{"name": "x", "n\u0061me": "y"}`,
		`{"Name": "x"}`,
		`{"NAME": "x", "name": "y"}`,
		`{"name": "x", "Expires_At": "2027-01-01T00:00:00Z"}`,
		`{"name": "x", "expire\u017f_at": "2027-01-01T00:00:00Z"}`, // folds to s
		`{"name": 1}`,
		`{"name": null}`,
		`{"name": true}`,
		`{"name": ["x"]}`,
		`{"name": {"name": "x"}}`,
		"{\"name\": \"\xff\"}",
		"{\"name\": \"\xc0\xaf\"}",
		"{\"name\": \"\xed\xa0\x80\"}",
		`{"name": "\ud800"}`,
		`{"name": "\udc00\ud800"}`,
		"{\"name\": \"a\nb\"}",
		`{"name": "a\nb"}`,
		`{"name": ` + strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000) + `}`,
		strings.Repeat(`{"name":`, 5000) + `"x"` + strings.Repeat(`}`, 5000),
		"<html>",
		"name=x",
		"\x00",
	} {
		got := f.send("POST", "/settings/tokens", body, bearer(issued.Value), "Content-Type: application/json")
		if got.status != http.StatusBadRequest {
			t.Errorf("%.60q: status %d: %.200s", body, got.status, got.shown())
			continue
		}
		wantProblem(t, got, http.StatusBadRequest, "invalid_request")
	}
	if list := decode[[]row](t, f.send("GET", "/settings/tokens", "", bearer(issued.Value))); len(list) != 1 {
		t.Errorf("refused requests made %d tokens", len(list)-1)
	}
}

func TestR30_TeachesTheName(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for body, says := range map[string]string{
		`{"Name": "x"}`: `write the field as "name"`,
		`{"nmae": "x"}`: `no field "nmae" here: the fields are name, expires_at`,
		`{"` + strings.Repeat("é", 500) + `": 1}`: `…" here`,
		`{"name": "x", "name": "y"}`:              `name comes twice`,
		`{"name": "x", "expires_at": null}`:       `left out`,
		`{"name": "x"]`:                           `at byte 13`,
		`{}`:                                      `name is required`,
		"{\"name\": \"\xff\"}":                    `not valid UTF-8`,
	} {
		got := f.send("POST", "/settings/tokens", body, bearer(issued.Value))
		wantProblem(t, got, http.StatusBadRequest, "invalid_request")
		detail := decode[problemAnswer](t, got).Error
		if !strings.Contains(detail.Message, strings.ReplaceAll(says, "…", `\u2026`)) || len(detail.Message) > 400 {
			t.Errorf("%.40s is answered by %q", body, detail.Message)
		}
	}
}

func TestA17_NamesThatCannotBeShownAreRefused(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for _, r := range []rune{0, 7, '\t', '\n', '\r', 0x1b, 0x7f, 0x85, 0x9b, 0x200e, 0x202e, 0x2066, 0x2069, 0x2028, 0x2029, 0xfffd, 0xffff} {
		body, err := json.Marshal(map[string]string{"name": "a" + string(r) + "b"})
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, f.send("POST", "/settings/tokens", string(body), bearer(issued.Value)), http.StatusBadRequest, "invalid_request")
	}
}

func TestR24_LimitsAndMediaTypes(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	fit := func(size int) string {
		const empty = `{"name": "x"}`
		return `{"name": "x"` + strings.Repeat(" ", size-len(empty)) + `}`
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(`{"name": "x"}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
	}{
		"64 KiB":           {fit(64 << 10), nil, 201, ""},
		"a byte more":      {fit(64<<10 + 1), nil, 413, "request_too_large"},
		"10 MiB":           {strings.Repeat("x", 10<<20), nil, 413, "request_too_large"},
		"charset":          {`{"name": "x"}`, []string{"Content-Type: application/json; charset=UTF-8"}, 201, ""},
		"other charset":    {`{"name": "x"}`, []string{"Content-Type: application/json; charset=latin1"}, 415, "unsupported_media_type"},
		"text":             {`{"name": "x"}`, []string{"Content-Type: text/plain"}, 415, "unsupported_media_type"},
		"form":             {`name=x`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"no type":          {`{"name": "x"}`, []string{"Content-Type: "}, 415, "unsupported_media_type"},
		"broken type":      {`{"name": "x"}`, []string{"Content-Type: application/json; ="}, 415, "unsupported_media_type"},
		"gzip":             {packed.String(), []string{"Content-Encoding: gzip"}, 415, "unsupported_media_type"},
		"identity":         {`{"name": "x"}`, []string{"Content-Encoding: identity"}, 201, ""},
		"type in disguise": {`{"name": "x"}`, []string{"Content-Type: text/json"}, 415, "unsupported_media_type"},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.send("POST", "/settings/tokens", c.body, append(c.headers, bearer(issued.Value))...)
			if c.status == http.StatusCreated {
				wantStatus(t, got, c.status)
			} else {
				wantProblem(t, got, c.status, c.code)
			}
		})
	}
}

func TestRoutes_MethodsAndPaths(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"PUT", "/settings/tokens", 405, "GET, HEAD, POST"},
		{"DELETE", "/settings/tokens", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/settings/tokens", 405, "GET, HEAD, POST"},
		{"PROPFIND", "/settings/tokens", 405, "GET, HEAD, POST"},
		{"GET", "/settings/tokens/" + issued.ID, 405, "DELETE, PATCH"},
		{"POST", "/me", 405, "GET, HEAD"},
		{"HEAD", "/me", 200, ""},
		{"GET", "/me?any=query", 200, ""},
		{"GET", "/", 404, ""},
		{"GET", "/Me", 404, ""},
		{"GET", "/me/", 200, ""},
		{"GET", "/settings/../me", 404, ""},
		{"GET", "/settings//tokens", 404, ""},
		{"GET", "/settings/tokens/", 200, ""},
		{"DELETE", "/settings/tokens/", 405, "GET, HEAD, POST"},
		{"DELETE", "/settings/tokens/a/b", 404, ""},
		{"DELETE", "/settings/tokens/..", 404, ""},
		{"DELETE", "/settings/tokens/%2e%2e%2f" + issued.ID, 404, ""},
		{"DELETE", "/settings/tokens/x%2f..%2f" + issued.ID, 404, ""},
		{"DELETE", "/settings/tokens/;" + issued.ID, 404, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
	} {
		got := f.send(c.method, c.path, "", bearer(issued.Value))
		if got.status != c.status || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: status %d, Allow %q", c.method, c.path, got.status, got.header.Get("Allow"))
		}
		if got.header.Get("Location") != "" {
			t.Errorf("%s %s: redirected", c.method, c.path)
		}
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: header %v", c.method, c.path, got.header)
		}
	}
	if !f.works(issued.Value) {
		t.Error("one of the paths revoked the token")
	}
}

func TestA39_NoSQLThroughTheID(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for _, id := range []string{"%25", "_", "'%20OR%20'1'='1", "x';DROP%20TABLE%20tokens;--", "%22", "$1", "%3f1"} {
		wantProblem(t, f.send("DELETE", "/settings/tokens/"+id, "", bearer(issued.Value)), http.StatusNotFound, "not_found")
	}
	if !f.works(issued.Value) {
		t.Error("the token was revoked")
	}
}

func TestA60_HealthTellsNothing(t *testing.T) {
	f := newFixture(t, Config{})
	got := f.send("GET", "/healthz", "")
	wantStatus(t, got, http.StatusOK)
	if strings.TrimSpace(got.body) != `{"status":"ok"}` {
		t.Errorf("health: %s", got.shown())
	}
}

func TestR32_InnerErrorsStayInside(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.api.HandlerFor([]exchange.Route{{Method: "GET", Pattern: "/x", Open: true, Serve: func(http.ResponseWriter, *http.Request, domain.Identity) error {
		return errors.New("no such table: tokens in /var/lib/secret.db")
	}}})
	got := record(h, "GET", "/x")
	wantProblem(t, got, http.StatusInternalServerError, "internal")
	if strings.Contains(withoutID(got), "table") || !strings.Contains(f.log.String(), "no such table") {
		t.Errorf("answer %s", got.shown())
	}
}

func TestR33_PanicCostsOneRequest(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.api.HandlerFor([]exchange.Route{{Method: "GET", Pattern: "/x", Open: true, Serve: func(http.ResponseWriter, *http.Request, domain.Identity) error {
		panic("out of luck")
	}}})
	got := record(h, "GET", "/x")
	wantProblem(t, got, http.StatusInternalServerError, "internal")
	if strings.Contains(withoutID(got), "luck") || !strings.Contains(f.log.String(), "out of luck") {
		t.Errorf("answer %s", got.shown())
	}
}
