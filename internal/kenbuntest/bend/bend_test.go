package bend

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func ask(t *testing.T, api *API, method, path, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, api.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+api.PAT)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, err.Error()
	}
	return response.StatusCode, string(text)
}

func TestAnswersAreStraightWithoutRules(t *testing.T) {
	api := Start(t)
	if status, text := ask(t, api, http.MethodPost, "/settings/tokens", `{"name":"new"}`); status != 201 || !strings.Contains(text, `"token":"kbn_pat_`) {
		t.Errorf("create: %d %s", status, text)
	}
	if status, text := ask(t, api, http.MethodGet, "/settings/tokens", ""); status != 200 || strings.Count(text, `"id"`) != 2 || strings.Contains(text, `"token":`) {
		t.Errorf("list: %d %s", status, text)
	}
	if status, _ := ask(t, api, http.MethodDelete, "/settings/tokens/pat_2", ""); status != 204 || !api.Revoked("pat_2") {
		t.Errorf("revoke: %d", status)
	}
	if status, _ := ask(t, api, http.MethodDelete, "/settings/tokens/pat_1", ""); status != 204 {
		t.Errorf("revoke the token in use: %d", status)
	}
	if status, _ := ask(t, api, http.MethodGet, "/me", ""); status != 401 {
		t.Errorf("a revoked token got %d", status)
	}
	if n := api.Count(http.MethodDelete, "/settings/tokens/"); n != 2 {
		t.Errorf("%d requests recorded", n)
	}
}

func TestRulesBendAnswersAndActWhereToldTo(t *testing.T) {
	api := Start(t)
	id := api.Add(Row{"name": "old", "last_used_at": "1970-01-01T00:00:00Z"})
	path := "/settings/tokens/" + id

	api.Bend(HTML(http.MethodDelete, "/settings/tokens", 200, "Sign in"))
	if status, text := ask(t, api, http.MethodDelete, path, ""); status != 200 || !strings.Contains(text, "Sign in") || api.Revoked(id) {
		t.Errorf("HTML: %d %s", status, text)
	}
	api.Bend(Rule{Method: http.MethodDelete, Status: 500, Skip: 1, Times: 1, Act: true})
	if status, _ := ask(t, api, http.MethodDelete, "/settings/tokens/none", ""); status != 404 {
		t.Errorf("skipped: %d", status)
	}
	if status, _ := ask(t, api, http.MethodDelete, path, ""); status != 500 || !api.Revoked(id) {
		t.Errorf("500 and acting: %d", status)
	}
	if status, _ := ask(t, api, http.MethodDelete, path, ""); status != 204 {
		t.Errorf("after the rule: %d", status)
	}
	api.Bend(Rule{Silent: true})
	if status, _ := ask(t, api, http.MethodGet, "/me", ""); status != 0 {
		t.Errorf("silence: %d", status)
	}
	api.Bend(Rule{Cut: true})
	if status, _ := ask(t, api, http.MethodGet, "/me", ""); status != 0 {
		t.Errorf("cut off: %d", status)
	}
	api.Bend(Rule{Cut: true, Status: 200, Body: "half a body"})
	if status, text := ask(t, api, http.MethodGet, "/me", ""); status != 200 || !strings.Contains(text, "unexpected EOF") {
		t.Errorf("half a body: %d %s", status, text)
	}
	api.Bend(Rule{Method: http.MethodPost, Status: 200, Shape: func(token map[string]any) { token["name"] = "shaped" }})
	if status, text := ask(t, api, http.MethodPost, "/settings/tokens", `{"name":"new"}`); status != 200 || !strings.Contains(text, `"name":"shaped"`) || api.Rows()[2]["name"] != "new" {
		t.Errorf("shaped: %d %s", status, text)
	}
	api.Bend(Rule{Status: 429, Header: http.Header{"Retry-After": {"1", "2"}}})
	if status, _ := ask(t, api, http.MethodGet, "/me", ""); status != 429 {
		t.Errorf("with a header: %d", status)
	}
}
