package authority

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

func TestH4_BearerAndAPIKey(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for _, header := range []string{
		bearer(issued.Value),
		"authorization: bearer " + issued.Value,
		"Authorization: BEARER  " + issued.Value,
		"X-API-Key: " + issued.Value,
		"x-api-key: " + issued.Value,
	} {
		wantStatus(t, f.send("GET", "/me", "", header), http.StatusOK)
	}
}

func TestR2_OneCredentialInItsHeader(t *testing.T) {
	f := newFixture(t, Config{})
	ada, ben := f.user("ada@example.com", RoleMember).Value, f.user("ben@example.com", RoleMember).Value
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
	}{
		"none":             {"/me", nil, 401},
		"query":            {"/me?access_token=" + ada + "&token=" + ada + "&api_key=" + ada, nil, 401},
		"cookie":           {"/me", []string{"Cookie: token=" + ada + "; Authorization=" + ada}, 401},
		"other headers":    {"/me", []string{"X-Auth-Token: " + ada, "Proxy-Authorization: Bearer " + ada, "Api-Key: " + ada}, 401},
		"empty":            {"/me", []string{"Authorization: "}, 401},
		"empty key":        {"/me", []string{"X-API-Key: "}, 401},
		"scheme alone":     {"/me", []string{"Authorization: Bearer"}, 401},
		"no scheme":        {"/me", []string{"Authorization: " + ada}, 401},
		"tab":              {"/me", []string{"Authorization: bearer\t" + ada}, 401},
		"other scheme":     {"/me", []string{"Authorization: Basic " + ada}, 401},
		"token scheme":     {"/me", []string{"Authorization: Token " + ada}, 401},
		"quoted":           {"/me", []string{`Authorization: Bearer "` + ada + `"`}, 401},
		"list":             {"/me", []string{bearer(ada) + ", Bearer " + ben}, 401},
		"padded":           {"/me", []string{bearer(ada + "=")}, 401},
		"key with scheme":  {"/me", []string{"X-API-Key: Bearer " + ada}, 401},
		"two bearers":      {"/me", []string{bearer(ada), bearer(ben)}, 400},
		"the same twice":   {"/me", []string{bearer(ada), bearer(ada)}, 400},
		"two keys":         {"/me", []string{"X-API-Key: " + ada, "X-API-Key: " + ben}, 400},
		"bearer and key":   {"/me", []string{bearer(ada), "X-API-Key: " + ada}, 400},
		"basic and bearer": {"/me", []string{"Authorization: Basic eA==", bearer(ada)}, 400},
	} {
		got := f.send("GET", c.path, "", c.headers...)
		if got.status != c.status {
			t.Errorf("%s: status %d, want %d", name, got.status, c.status)
		}
	}
}

func TestR3_EachRequestIsAuthenticatedByItself(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	// One connection, kept open by the client.
	wantStatus(t, f.send("GET", "/me", "", bearer(issued.Value)), http.StatusOK)
	wantProblem(t, f.send("GET", "/me", ""), http.StatusUnauthorized, "unauthenticated")
}

func TestR4_Challenges(t *testing.T) {
	f := newFixture(t, Config{})
	missing := f.send("GET", "/me", "")
	if got := missing.header.Get("WWW-Authenticate"); got != `Bearer realm="kenbun"` {
		t.Errorf("without a token: %s", got)
	}
	wrong := f.send("GET", "/me", "", bearer("kbn_pat_"))
	if got := wrong.header.Get("WWW-Authenticate"); got != `Bearer realm="kenbun", error="invalid_token", error_description="the token is not valid"` {
		t.Errorf("with a wrong token: %s", got)
	}
}

func TestR5_OneAnswerForEveryCause(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ctx := t.Context()
		caller := f.user("ada@example.com", RoleMember)
		revoked := f.token("ada@example.com", "revoked")
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+revoked.ID, "", bearer(caller.Value)), http.StatusNoContent)
		end := f.clock.Now().Add(time.Hour)
		ending, err := f.IssueToken(ctx, "ada@example.com", "ending", &end)
		if err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Hour)
		suspended := f.user("ben@example.com", RoleMember)
		if err := f.Suspend(ctx, "ben@example.com"); err != nil {
			t.Fatal(err)
		}
		removed := f.user("cleo@example.com", RoleMember)
		if err := f.RemoveMember(ctx, "cleo@example.com", DefaultOrganization); err != nil {
			t.Fatal(err)
		}
		flipped := []byte(caller.Value)
		flipped[20] ^= 1
		var first string
		for cause, value := range map[string]string{
			domain.CauseUnknown:   domain.NewCredential(domain.PersonalAccessToken),
			domain.CauseRevoked:   revoked.Value,
			domain.CauseExpired:   ending.Value,
			domain.CauseSuspended: suspended.Value,
			domain.CauseNotMember: removed.Value,
			domain.CauseMalformed: "no token at all",
			"flipped":             string(flipped),
			"cut":                 caller.Value[:len(caller.Value)-1],
			"longer":              caller.Value + "0",
			"unknown session":     domain.NewCredential(domain.SessionToken),
			"session by name":     strings.Replace(caller.Value, "kbn_pat_", "kbn_session_", 1),
			"of a stranger":       "ghp_" + strings.Repeat("x1Y", 12),
			"10,000 bytes":        strings.Repeat("a", 10000),
			"not ASCII":           "kbn_pat_é",
			"the prefix alone":    caller.Prefix,
		} {
			got := f.send("GET", "/me", "", bearer(value))
			wantProblem(t, got, http.StatusUnauthorized, "unauthenticated")
			id := got.header.Get("X-Request-Id")
			got.header.Del("Date")
			same := strings.ReplaceAll(fmt.Sprint(got.body, got.header), id, "ID")
			if first == "" {
				first = same
			}
			if same != first {
				t.Errorf("%s tells itself apart:\n%s\n%s", cause, same, first)
			}
			// N9: whoever runs it finds the cause, beside the request's id.
			logged := slices.ContainsFunc(strings.Split(f.log.String(), "\n"), func(line string) bool {
				return strings.Contains(line, id) && strings.Contains(line, `"refused":"`)
			})
			if !logged {
				t.Errorf("%s: the log does not tell the cause", cause)
			}
		}
		for _, cause := range []string{domain.CauseUnknown, domain.CauseRevoked, domain.CauseExpired, domain.CauseSuspended, domain.CauseNotMember, domain.CauseMalformed} {
			if !strings.Contains(f.log.String(), `"refused":"`+cause+`"`) {
				t.Errorf("the log does not name the cause %q", cause)
			}
		}
	})
}

func TestH3_LogNamesTokensByPrefixAndNeverByValue(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	made := decode[row](t, f.send("POST", "/settings/tokens", `{"name": "x"}`, bearer(issued.Value)))
	f.send("GET", "/me?token="+issued.Value, "", bearer(issued.Value))
	f.send("GET", "/"+issued.Value, "", bearer(issued.Value))
	f.send("DELETE", "/settings/tokens/"+issued.Value, "", bearer(issued.Value))
	unknown := domain.NewCredential(domain.PersonalAccessToken)
	f.send("GET", "/me", "", bearer(unknown))
	f.send("GET", "/me", "", bearer(issued.Value+"x"))
	fmt.Fprintf(&f.log.text, "%v %+v %#v %s %q %d", issued, issued, issued, issued, &issued, issued)
	f.api.Gateway.Log.Info("issued", "token", issued)
	text := f.log.String()
	if !strings.Contains(text, `"token_prefix":"`+issued.Prefix+`"`) {
		t.Error("the log does not hold the prefix")
	}
	for _, value := range []string{issued.Value, made.Token, unknown} {
		if strings.Contains(text, value[len("kbn_pat_")+domain.PublicDigits:]) {
			t.Error("the log holds a value")
		}
	}
}

func TestN4_UnverifiableIsNotLetIn(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	if err := f.reads().Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/me", "/settings/tokens", "/healthz"} {
		got := f.send("GET", path, "", bearer(issued.Value))
		wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if !strings.Contains(f.log.String(), "could not be verified") {
		t.Error("the log does not tell")
	}
}
