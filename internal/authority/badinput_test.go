package authority

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// sameProblem is an answer without what differs between any two.
func sameProblem(got answer) string {
	header := got.header.Clone()
	header.Del("Date")
	return strings.ReplaceAll(fmt.Sprint(got.status, got.body, header), got.header.Get("X-Request-Id"), "ID")
}

// withoutID is the body without the request's id, whose letters may spell
// anything.
func withoutID(got answer) string {
	return strings.ReplaceAll(got.body, got.header.Get("X-Request-Id"), "")
}

// bodyRoutes are the endpoints that read a body, each with one that it takes.
func (f *fixture) bodyRoutes(tokenID, unitID string) map[string]string {
	return map[string]string{
		"POST /settings/tokens":             `{"name": "x"}`,
		"PATCH /settings/tokens/" + tokenID: `{"name": "x"}`,
		"POST /org-units/active":            `{"ouId": "` + unitID + `"}`,
	}
}

func TestR24_EveryBodyIsLimitedAndJSON(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(`{"name": "x"}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for endpoint, good := range f.bodyRoutes(caller.ID, f.activeOf(caller.Value)) {
		method, path, _ := strings.Cut(endpoint, " ")
		padded := good[:len(good)-1] + strings.Repeat(" ", exchange.MaxBody-len(good)) + "}"
		for name, c := range map[string]struct {
			body, header string
			status       int
			code         string
		}{
			"64 KiB":      {padded, "", 0, ""},
			"a byte more": {padded + " ", "", 413, "request_too_large"},
			"gzip":        {packed.String(), "Content-Encoding: gzip", 415, "unsupported_media_type"},
			"said to be":  {good, "Content-Encoding: gzip", 415, "unsupported_media_type"},
			"form":        {"name=x", "Content-Type: application/x-www-form-urlencoded", 415, "unsupported_media_type"},
			"multipart":   {"--x--", "Content-Type: multipart/form-data; boundary=x", 415, "unsupported_media_type"},
			"text":        {good, "Content-Type: text/plain", 415, "unsupported_media_type"},
			"no type":     {good, "Content-Type: ", 415, "unsupported_media_type"},
			"latin1":      {good, "Content-Type: application/json; charset=latin1", 415, "unsupported_media_type"},
			"merge patch": {good, "Content-Type: application/merge-patch+json", 415, "unsupported_media_type"},
			"empty":       {"", "Content-Type: application/json", 400, "invalid_request"},
			"null":        {"null", "", 400, "invalid_request"},
			"array":       {"[" + good + "]", "", 400, "invalid_request"},
			"string":      {`"x"`, "", 400, "invalid_request"},
			"two":         {good + good, "", 400, "invalid_request"},
			"cut":         {good[:len(good)-1], "", 400, "invalid_request"},
			"byte order":  {"\ufeff" + good, "", 400, "invalid_request"},
			"not UTF-8":   {"{\"name\": \"\xff\"}", "", 400, "invalid_request"},
			"long number": {`{"name": ` + strings.Repeat("9", 60000) + `}`, "", 400, "invalid_request"},
			"deep":        {strings.Repeat(`{"name":`, 6000) + `1` + strings.Repeat("}", 6000), "", 400, "invalid_request"},
			"deep array":  {`{"permissions": ` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, "", 400, "invalid_request"},
		} {
			headers := []string{bearer(caller.Value)}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			got := f.send(method, path, c.body, headers...)
			if c.status == 0 && got.status >= 300 || c.status != 0 && got.status != c.status {
				t.Errorf("%s, %s: %d %s", endpoint, name, got.status, got.shown())
			} else if c.status != 0 {
				wantProblem(t, got, c.status, c.code)
			}
		}
	}
}

// Every value of the wrong type in every field of every body.
func TestR30_EveryFieldOfEveryEndpoint(t *testing.T) {
	f := newFixture(t, Config{TokenLimit: 1000})
	caller := f.user("ada@example.com", RoleMember)
	wrong := []string{`1`, `-1`, `0`, `1e999`, `123456789012345678901234567890`, `0.5`, `true`, `false`, `{}`, `{"a": {"b": []}}`, `[1]`, `[null]`, `[{}]`, `[["x"]]`, `""`, `[]`}
	for endpoint, fields := range map[string][]string{
		"POST /settings/tokens":               {"name", "expires_at", "valid_from", "permissions"},
		"PATCH /settings/tokens/" + caller.ID: {"name", "expires_at", "valid_from", "permissions"},
		"POST /org-units/active":              {"ouId"},
	} {
		method, path, _ := strings.Cut(endpoint, " ")
		with := func(field, value string) string {
			if field != "name" && method == "POST" && path == "/settings/tokens" {
				return `{"name": "x", "` + field + `": ` + value + `}`
			}
			return `{"` + field + `": ` + value + `}`
		}
		for _, field := range fields {
			values := wrong
			if method == "POST" || field == "name" {
				values = append(values, `null`)
			}
			for _, value := range values {
				got := f.send(method, path, with(field, value), bearer(caller.Value))
				wantProblem(t, got, http.StatusBadRequest, "invalid_request")
				if !strings.Contains(got.body, field) {
					t.Errorf("%s, %s: %s: the answer does not name the field: %s", endpoint, field, value, got.shown())
				}
			}
			for _, other := range []string{strings.ToUpper(field), field + " ", " " + field, field + `\u0000`, strings.Replace(field, "_", "-", 1) + "x"} {
				wantProblem(t, f.send(method, path, with(other, `"x"`), bearer(caller.Value)), http.StatusBadRequest, "invalid_request")
			}
			twice := `{"` + field + `": ` + `null` + `, "` + field + `": null}`
			wantProblem(t, f.send(method, path, twice, bearer(caller.Value)), http.StatusBadRequest, "invalid_request")
		}
	}
	if rows := f.list(caller.Value); len(rows) != 1 || rows[caller.ID].Name != caller.Name {
		t.Errorf("refused requests left %+v", rows)
	}
}

// Every endpoint that takes an id × somebody else's, nobody's and odd ones.
func TestR16_IDsOfOthersOnEveryEndpoint(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ada, ben := f.user("ada@example.com", RoleOwner), f.user("ben@example.com", RoleOwner)
		revoked := f.token("ada@example.com", "revoked")
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+revoked.ID, "", bearer(ada.Value)), http.StatusNoContent)
		f.used(ada.ID, 3)
		for _, c := range []struct{ method, suffix, body string }{
			{"DELETE", "", ""},
			{"PATCH", "", `{"name": "mine now"}`},
			{"PATCH", "", `{"permissions": null, "expires_at": null}`},
			{"GET", "/usage", ""},
			{"GET", "/usage?page=2&limit=1", ""},
		} {
			want := ""
			for _, id := range []string{domain.NewID("pat_"), ada.ID, revoked.ID, strings.ToUpper(ada.ID), ada.ID + "%00", "%20" + ada.ID, "x", "%ff", "%25", strings.Repeat("x", 5000)} {
				got := f.send(c.method, "/settings/tokens/"+id+c.suffix, c.body, bearer(ben.Value))
				wantProblem(t, got, http.StatusNotFound, "not_found")
				if want == "" {
					want = sameProblem(got)
				}
				if sameProblem(got) != want {
					t.Errorf("%s …%s: id %.40s tells itself apart:\n%s\n%s", c.method, c.suffix, id, sameProblem(got), want)
				}
			}
		}
		if !f.works(ada.Value) || f.list(ada.Value)[ada.ID].Name != ada.Name {
			t.Error("somebody else changed the token")
		}
	})
}

// One character changed, at every place of a token, and the token cut, doubled
// and dressed up.
func TestN9_DamagedTokensAreRefusedAlike(t *testing.T) {
	f := newFixture(t, Config{})
	value := f.user("ada@example.com", RoleMember).Value
	damaged := map[string]string{
		"doubled": value + value, "twice with a space": value + " " + value, "with a comma": value + ",",
		"upper case": strings.ToUpper(value), "lower case": strings.ToLower(value),
		"without its beginning": strings.TrimPrefix(value, "kbn_pat_"), "base64": base64.StdEncoding.EncodeToString([]byte(value)),
	}
	for i := range value {
		changed := []byte(value)
		changed[i] = 'Q'
		if value[i] == 'Q' {
			changed[i] = 'R'
		}
		damaged[fmt.Sprintf("changed at %d", i)] = string(changed)
		damaged[fmt.Sprintf("cut at %d", i)] = value[:i]
		damaged[fmt.Sprintf("without character %d", i)] = value[:i] + value[i+1:]
	}
	want := sameProblem(f.send("GET", "/me", "", bearer(domain.NewCredential(domain.PersonalAccessToken))))
	for name, credential := range damaged {
		if name == "cut at 0" {
			continue // that is none, which is another answer
		}
		got := f.send("GET", "/me", "", bearer(credential))
		wantProblem(t, got, http.StatusUnauthorized, "unauthenticated")
		if sameProblem(got) != want {
			t.Errorf("%s tells itself apart: %s", name, sameProblem(got))
		}
	}
	// Whoever runs it is told: no damage gets past the checksum to the store.
	if strings.Count(f.log.String(), `"refused":"unknown"`) != 1 {
		t.Error("a damaged token was looked up")
	}
}

// The owner, by another credential, is told what a stranger is not.
func TestN9_OwnerTellsTheCausesApart(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		revoked := f.token("ada@example.com", "revoked")
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+revoked.ID, "", bearer(caller.Value)), http.StatusNoContent)
		expired := f.make(caller.Value, `{"name": "expired", "expires_at": "2026-03-28T10:30:00Z"}`)
		later := f.make(caller.Value, `{"name": "later", "valid_from": "2026-04-01T00:00:00Z"}`)
		f.clock.advance(30 * time.Minute)
		copiedWrong := caller.Value[:len(caller.Value)-3]
		for _, value := range []string{revoked.Value, expired.Token, later.Token, copiedWrong} {
			got := f.send("GET", "/me", "", bearer(value))
			wantProblem(t, got, http.StatusUnauthorized, "unauthenticated")
			for _, hint := range []string{"revoked", "expired", "not be valid yet", "not have been copied in full", "GET /settings/tokens"} {
				if !strings.Contains(got.body, hint) {
					t.Errorf("the answer does not name %q: %s", hint, got.body)
				}
			}
		}
		for _, credential := range []string{caller.Value, f.session("ada@example.com")} {
			list := f.list(credential)
			if list[revoked.ID].RevokedAt == nil || *list[expired.ID].ExpiresAt != "2026-03-28T10:30:00Z" || *list[later.ID].ValidFrom != "2026-04-01T00:00:00Z" {
				t.Errorf("the list does not tell: %+v", list)
			}
			if row := list[caller.ID]; row.RevokedAt != nil || row.ExpiresAt != nil || row.ValidFrom != nil {
				t.Errorf("the token that was copied wrong is listed as %+v", row)
			}
		}
	})
}

func TestK5_ServiceAccountsAreNotServed(t *testing.T) {
	f := newFixture(t, Config{})
	value := f.user("ada@example.com", RoleMember).Value
	for name, header := range map[string]string{
		"client":          "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("client:secret")),
		"lower case":      "Authorization: basic " + base64.StdEncoding.EncodeToString([]byte("client:secret")),
		"token as name":   "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(value+":")),
		"token as secret": "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+value)),
		"nothing":         "Authorization: Basic ",
		"the scheme":      "Authorization: Basic",
	} {
		for _, path := range []string{"/me", "/settings/tokens", "/org-units"} {
			got := f.send("GET", path, "", header)
			wantProblem(t, got, http.StatusUnauthorized, "unauthenticated")
			if !strings.Contains(got.body, "service accounts") || got.header.Get("WWW-Authenticate") != `Bearer realm="kenbun"` {
				t.Errorf("%s: %s", name, got.body)
			}
		}
	}
}

// H4, on every endpoint that asks for a credential.
func TestH4_EveryEndpointTakesOneCredentialInEitherHeader(t *testing.T) {
	f := newFixture(t, Config{})
	ada, ben := f.user("ada@example.com", RoleOwner), f.user("ben@example.com", RoleOwner)
	for _, rt := range f.api.Routes() {
		path := strings.Replace(rt.Pattern, "{id}", domain.NewID("pat_"), 1)
		if rt.Open {
			// A credential is not needed, and one that is wrong does no harm.
			wantStatus(t, f.send(rt.Method, path, ""), http.StatusOK)
			wantStatus(t, f.send(rt.Method, path, "", bearer("kbn_pat_wrong")), http.StatusOK)
			continue
		}
		byBearer, byKey := f.send(rt.Method, path, "", bearer(ada.Value)), f.send(rt.Method, path, "", "X-API-Key: "+ada.Value)
		if byBearer.status == http.StatusUnauthorized || byBearer.status != byKey.status {
			t.Errorf("%s %s: %d as a bearer, %d as a key", rt.Method, path, byBearer.status, byKey.status)
		}
		wantProblem(t, f.send(rt.Method, path, ""), http.StatusUnauthorized, "unauthenticated")
		for _, two := range [][]string{
			{bearer(ada.Value), "X-API-Key: " + ada.Value},
			{bearer(ada.Value), "X-API-Key: " + ben.Value},
			{bearer(ada.Value), "X-API-Key: "},
			{bearer("x"), "X-API-Key: " + ada.Value},
			{bearer(ada.Value), bearer(ben.Value)},
			{"X-API-Key: " + ada.Value, "X-API-Key: " + ada.Value},
		} {
			wantProblem(t, f.send(rt.Method, path, "", two...), http.StatusBadRequest, "invalid_request")
		}
	}
}
