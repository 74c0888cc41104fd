package client

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func inDays(n int) *time.Time {
	at := time.Now().Add(time.Duration(n) * 24 * time.Hour)
	return &at
}

func TestK1_CreateToken(t *testing.T) {
	api := newFakeAPI(t)
	u := newTestCaller(t, api.URL)
	zone := time.FixedZone("", 5*3600)
	at := time.Now().Add(48 * time.Hour).In(zone)
	created, err := u.CreateToken(t.Context(), NewToken{Name: "MCP Server - Laptop", ExpiresAt: &at})
	if err != nil {
		t.Fatal(err)
	}
	want := at.UTC().Truncate(time.Second)
	if created.Name != "MCP Server - Laptop" || created.ID == "" || created.ExpiresAt == nil || !created.ExpiresAt.Equal(want) || created.CreatedAt.IsZero() {
		t.Errorf("got %+v", created)
	}
	if _, err := ParsePAT(created.Value.Reveal()); err != nil || created.Value.Prefix() != created.Prefix {
		t.Errorf("the value is unusable: %v", err)
	}
	var body string
	for _, r := range api.requests {
		if r.method == http.MethodPost {
			body = r.body
		}
	}
	if want := `{"expires_at":"` + want.Format(time.RFC3339) + `","name":"MCP Server - Laptop"}`; body != want {
		t.Errorf("sent %s, want %s", body, want)
	}

	if _, err = u.CreateToken(t.Context(), NewToken{Name: "for good"}); err != nil {
		t.Fatal(err)
	}
	if last := api.requests[len(api.requests)-1]; last.body != `{"name":"for good"}` {
		t.Errorf("sent %s", last.body)
	}
}

func TestK1_NamesAndExpiriesAreCheckedBeforeSending(t *testing.T) {
	api := newFakeAPI(t)
	u := newTestCaller(t, api.URL)
	past, justNow, far := time.Now().Add(-time.Hour), time.Now(), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		n    NewToken
		says string
	}{
		{"empty", NewToken{}, "needs a name"},
		{"white space only", NewToken{Name: " \t\u00a0"}, "needs a name"},
		{"101 characters", NewToken{Name: strings.Repeat("é", 101)}, "101 characters"},
		{"space in front", NewToken{Name: " ci"}, "white space"},
		{"space behind", NewToken{Name: "ci\n"}, "white space"},
		{"line break", NewToken{Name: "a\nb"}, "U+000A"},
		{"NUL", NewToken{Name: "a\x00b"}, "U+0000"},
		{"escape", NewToken{Name: "a\x1b]52;c;x\ab"}, "U+001B"},
		{"C1 control", NewToken{Name: "a\u009bb"}, "U+009B"},
		{"bidirectional", NewToken{Name: "a\u202eb"}, "U+202E"},
		{"zero width", NewToken{Name: "a\u200bb"}, "U+200B"},
		{"byte order mark", NewToken{Name: "a\ufeffb"}, "U+FEFF"},
		{"tag", NewToken{Name: "a\U000e0041b"}, "U+E0041"},
		{"empty Braille", NewToken{Name: "a\u2800b"}, "U+2800"},
		{"variation selector", NewToken{Name: "a\ufe0fb"}, "U+FE0F"},
		{"Hangul filler", NewToken{Name: "a\u3164b"}, "U+3164"},
		{"line separator", NewToken{Name: "a\u2028b"}, "U+2028"},
		{"private use", NewToken{Name: "a\ue000b"}, "U+E000"},
		{"not UTF-8", NewToken{Name: "a\xffb"}, "UTF-8"},
		{"past", NewToken{Name: "ci", ExpiresAt: &past}, "not in the future"},
		{"now", NewToken{Name: "ci", ExpiresAt: &justNow}, "not in the future"},
		{"zero time", NewToken{Name: "ci", ExpiresAt: &time.Time{}}, "not in the future"},
		{"year 10000", NewToken{Name: "ci", ExpiresAt: &far}, "9999"},
	} {
		_, err := u.CreateToken(t.Context(), tc.n)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(fmt.Sprint(err), tc.says) {
			t.Errorf("%s: %v, want one that says %q", tc.name, err, tc.says)
		}
	}
	if len(api.requests) != 0 {
		t.Errorf("%d requests were sent", len(api.requests))
	}
	for _, name := range []string{"x", strings.Repeat("é", 100), "Größe 3: «ночь» 日本語 a\u3000b", "it's \"quoted\" <b>"} {
		if created, err := u.CreateToken(t.Context(), NewToken{Name: name}); err != nil || created.Name != name {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestK1_PlainRefusalsAreNoDoubt(t *testing.T) {
	for status, sentinel := range map[int]error{400: ErrInvalid, 401: ErrUnauthenticated, 403: ErrForbidden, 409: ErrTokenLimit} {
		api := newFakeAPI(t)
		api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				writeJSON(w, status, map[string]any{"error": map[string]any{"message": "the limit"}})
			}
			return r.Method == http.MethodPost
		}
		_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
		var doubt *CreateError
		if !errors.Is(err, sentinel) || errors.As(err, &doubt) || api.count(http.MethodGet) != 1 {
			t.Errorf("%d: %v after %d lists", status, err, api.count(http.MethodGet))
		}
	}
}

func TestCreateFailsEarlyWhenTheListFails(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
	var doubt *CreateError
	if !errors.Is(err, ErrUnavailable) || errors.As(err, &doubt) || api.count(http.MethodPost) != 0 {
		t.Errorf("%v after %d POSTs", err, api.count(http.MethodPost))
	}
}

// What came back is checked against what was asked; a token that differs is
// revoked.
func TestA2_WrongAnswersAreRevoked(t *testing.T) {
	asked := inDays(7)
	for name, tc := range map[string]struct {
		shape func(map[string]any)
		says  string
	}{
		"expires later":        {func(a map[string]any) { a["expires_at"] = asked.Add(2 * time.Second) }, "later"},
		"expires never":        {func(a map[string]any) { a["expires_at"] = nil }, "never expires"},
		"no expiry":            {func(a map[string]any) { delete(a, "expires_at") }, "never expires"},
		"malformed expiry":     {func(a map[string]any) { a["expires_at"] = "tomorrow" }, "malformed"},
		"empty expiry":         {func(a map[string]any) { a["expires_at"] = "" }, "malformed"},
		"another name":         {func(a map[string]any) { a["name"] = "CI" }, "another name"},
		"no name":              {func(a map[string]any) { delete(a, "name") }, "another name"},
		"no value":             {func(a map[string]any) { delete(a, "token") }, "form"},
		"value of other form":  {func(a map[string]any) { a["token"] = "secret" }, "form"},
		"value of other type":  {func(a map[string]any) { a["token"] = 7 }, "malformed"},
		"prefix of another":    {func(a map[string]any) { a["token_prefix"] = randomPAT()[:16] }, "prefix"},
		"prefix that is short": {func(a map[string]any) { a["token_prefix"] = "k" }, "prefix"},
		"no created_at":        {func(a map[string]any) { delete(a, "created_at") }, "created_at"},
		"revoked":              {func(a map[string]any) { a["revoked_at"] = time.Now() }, "revoked already"},
		"no id":                {func(a map[string]any) { delete(a, "id") }, "no id"},
		"id that leads away":   {func(a map[string]any) { a["id"] = "../me" }, "id of another form"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			var value string
			api.shape = func(a map[string]any) {
				value, _ = a["token"].(string)
				tc.shape(a)
			}
			created, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci", ExpiresAt: asked})
			e := mustCreateError(t, err, OutcomeRevoked)
			if created != nil || !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), tc.says) || !slices.Equal(e.TokenIDs, []string{"pat_1"}) {
				t.Errorf("%v does not say %q, or names %v", err, tc.says, e.TokenIDs)
			}
			if live := api.live(); len(live) != 0 {
				t.Errorf("live are %v", live)
			}
			assertNotInChain(t, err, value)
		})
	}
}

func TestCreateAcceptsAShorterLife(t *testing.T) {
	asked := inDays(7)
	for name, shape := range map[string]func(map[string]any){
		"earlier":           func(a map[string]any) { a["expires_at"] = time.Now().Add(time.Hour) },
		"same second":       func(a map[string]any) { a["expires_at"] = asked.Truncate(time.Second).Add(time.Millisecond) },
		"without a prefix":  func(a map[string]any) { delete(a, "token_prefix") },
		"with other fields": func(a map[string]any) { a["secret"] = "x"; a["owner"] = map[string]any{"id": 1} },
		"with permissions":  func(a map[string]any) { a["permissions"] = []string{"read:tokens"} },
	} {
		api := newFakeAPI(t)
		api.shape = shape
		created, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci", ExpiresAt: asked})
		if err != nil || created.Prefix != created.Value.Prefix() || len(api.live()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	api := newFakeAPI(t)
	api.shape = func(a map[string]any) { a["expires_at"] = time.Now().Add(time.Hour) }
	if created, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"}); err != nil || created.ExpiresAt == nil {
		t.Errorf("an end where none was asked for: %v", err)
	}
}

func TestCreatesOfOneNameTakeTurns(t *testing.T) {
	api := newFakeAPI(t)
	var inside, most atomic.Int64
	api.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			now := inside.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			time.Sleep(5 * time.Millisecond) // widens the overlap, if there is one
			inside.Add(-1)
		}
		return false
	}
	u := newTestCaller(t, api.URL)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := u.CreateToken(t.Context(), NewToken{Name: "ci"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d creates of one name at a time", most.Load())
	}
}

func TestRecentIDsAreBounded(t *testing.T) {
	var r recentIDs
	for i := range 3 * maxRecentIDs {
		r.add(fmt.Sprint(i))
	}
	if len(r.ids) != maxRecentIDs || r.has("0") || !r.has(fmt.Sprint(3*maxRecentIDs-1)) || !r.has(fmt.Sprint(2*maxRecentIDs)) {
		t.Error("the latest ids are not those kept")
	}
}
