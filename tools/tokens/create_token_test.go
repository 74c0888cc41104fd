package tokens_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// created is the structured content of create_token.
type created struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Prefix    string `json:"prefix"`
	CreatedAt string `json:"created_at"`
	ExpiresAt string `json:"expires_at"`
	Delivery  struct {
		Road, Where, Note string
		Value             *string
	} `json:"delivery"`
}

func createArguments(name, expires string) string {
	return `{"name":` + quoted(name) + `,"expires":` + quoted(expires) + `}`
}

func TestK1_R1_CreateDeliversTheValueAndTellsEverythingElse(t *testing.T) {
	f := newFixture(t)
	var got created
	text := f.call("create_token", createArguments("Nightly import", "30d")).ok(&got).text()
	values := f.proxy.values()
	if len(values) != 1 {
		t.Fatalf("%d tokens were made, want 1", len(values))
	}
	if got.Name != "Nightly import" || got.Prefix != values[0][:16] || got.Delivery.Road != "file" || got.Delivery.Value != nil {
		t.Errorf("unexpected answer %+v", got)
	}
	expires, err := time.Parse(time.RFC3339, got.ExpiresAt)
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Until(expires) - 30*24*time.Hour; off > 0 || off < -time.Minute {
		t.Errorf("the token ends %v off 30 days from now", off)
	}
	if !strings.Contains(text, got.ID) || !strings.Contains(text, got.Delivery.Where) {
		t.Errorf("the text does not tell id and place: %q", text)
	}
	delivered, err := os.ReadFile(got.Delivery.Where)
	if err != nil {
		t.Fatal(err)
	}
	if string(delivered) != values[0]+"\n" {
		t.Error("what was delivered is not the value that the API gave")
	}
	if filepath.Dir(got.Delivery.Where) != f.folder {
		t.Errorf("delivered to %s, want the operator's folder", got.Delivery.Where)
	}
	// The delivered value works.
	if _, err := f.api.As(t, strings.TrimSpace(string(delivered))).Me(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestK1_N2_A3_A16_A17_NamesAreCheckedInCharacters(t *testing.T) {
	f := newFixture(t)
	good := []string{"x", strings.Repeat("ä", 100), strings.Repeat("🙂", 100), `quoted "name" \ | and <b>`, "-- '; DROP TABLE tokens", "日本語 の 名前"}
	for _, name := range good {
		var got created
		f.call("create_token", createArguments(name, "1d")).ok(&got)
		if got.Name != name {
			t.Errorf("the name is %q, want %q", got.Name, name)
		}
	}
	if n := len(f.listed()); n != 1+len(good) {
		t.Fatalf("the user has %d tokens, want %d", n, 1+len(good))
	}
	for label, name := range map[string]string{
		"empty":               "",
		"blank":               "   ",
		"101 characters":      strings.Repeat("🙂", 101),
		"a line break":        "a\nb",
		"CR LF":               "a\r\nX-Evil: 1",
		"NUL":                 "a\x00b",
		"an escape":           "a\x1b]52;c;x\ab",
		"DEL":                 "a\x7fb",
		"C1":                  "a\u009bb",
		"bidi":                "a\u202eb",
		"isolate":             "a\u2066b",
		"zero width":          "a\u200bb",
		"a joiner":            "a\u200db",
		"empty Braille":       "a\u2800b",
		"a byte order mark":   "\ufeffa",
		"a tag":               "a\U000e0041b",
		"a variation":         "a\ufe0fb",
		"private use":         "a\ue000b",
		"a line separator":    "a\u2028b",
		"a replacement":       "a\ufffdb",
		"a space before":      " a",
		"a space behind":      "a ",
		"a no-break space":    "a\u00a0b",
		"an unassigned place": "a\u0378b",
	} {
		t.Run(label, func(t *testing.T) {
			f.t = t
			f.call("create_token", createArguments(name, "1d")).failed(tools.CodeInvalidArgument, `"name"`, "Next: ")
		})
	}
	f.t = t
	if n := len(f.listed()); n != 1+len(good) {
		t.Errorf("the user has %d tokens, want %d: a bad name made one", n, 1+len(good))
	}
}

func TestA2_R10_LifetimeIsCappedByTheOperator(t *testing.T) {
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.MaxTokenLifetime = 30 * 24 * time.Hour }))
	for _, expires := range []string{"31d", "36500d", "9999-12-31T23:59:59Z", time.Now().Add(30*24*time.Hour + time.Minute).UTC().Format(time.RFC3339)} {
		f.call("create_token", createArguments("import", expires)).failed(tools.CodeForbidden, "at most 30 days", `"30d"`)
	}
	f.call("create_token", createArguments("import", "never")).failed(tools.CodeForbidden, "never expire", `"30d"`)
	f.mustHaveNothingNew()
	f.call("create_token", createArguments("import", "30d")).ok(nil)
}

// A lifetime under a day can only be kept by naming a time.
func TestA2_ShortCeilingTeachesATime(t *testing.T) {
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.MaxTokenLifetime = 12 * time.Hour }))
	f.call("create_token", createArguments("import", "1d")).failed(tools.CodeForbidden, "12 hours")
	f.call("create_token", createArguments("import", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))).ok(nil)
}

func TestA2_H6_NeverIsAskedForEvenWhereAllowed(t *testing.T) {
	allow := withPolicy(func(p *tools.Policy) { p.AllowNeverExpiring = true })
	never := createArguments("the import", "never")

	t.Run("nobody can be asked", func(t *testing.T) {
		f := newFixture(t, allow)
		f.call("create_token", never).failed(tools.CodeNeedsPerson, "no token was made", "make one in kenbun under Settings")
		f.callModern(`{}`, "create_token", never).failed(tools.CodeNeedsPerson)
		f.mustHaveNothingNew()
	})
	t.Run("no", func(t *testing.T) {
		f := newFixture(t, allow)
		f.callIn(t.Context(), f.asksWith(`{}`, declined), "create_token", never).failed(tools.CodeDeclined, "no token was made")
		f.mustHaveNothingNew()
	})
	t.Run("yes", func(t *testing.T) {
		f := newFixture(t, allow)
		session := f.asksWith(`{}`, agreed)
		var got created
		f.callIn(t.Context(), session, "create_token", never).ok(&got)
		if got.ExpiresAt != "" || f.listed()[got.ID].ExpiresAt != nil {
			t.Errorf("the token expires: %+v", got)
		}
		if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, `"the import"`) || !strings.Contains(asked[0].Message, "never expires") {
			t.Errorf("the question does not tell what will happen: %+v", asked)
		}
	})
	t.Run("yes, but for another name", func(t *testing.T) {
		f := newFixture(t, allow)
		capable := `{"elicitation":{}}`
		sealed := f.callModern(capable, "create_token", never).asking()
		f.callModern(capable, "create_token", createArguments("another", "never"), state(sealed), response(agreed)).failed(tools.CodeDeclined, "another question")
		f.mustHaveNothingNew()
		f.callModern(capable, "create_token", never, state(sealed), response(agreed)).ok(nil)
		// One agreement makes one token.
		f.callModern(capable, "create_token", never, state(sealed), response(agreed)).failed(tools.CodeDeclined, "used before")
		if n := len(f.listed()); n != 2 {
			t.Errorf("the user has %d tokens, want 2", n)
		}
	})
}

func TestK1_TokenLimitIsToldWithTheWayOut(t *testing.T) {
	f := newFixture(t)
	f.proxy.refuse("POST", "/settings/tokens", 409)
	f.call("create_token", createArguments("import", "1d")).failed(tools.CodeTokenLimitReached, "no token was made", "unused_days")
	f.mustHaveNothingNew()
}

// What was made is seen through: a caller who hangs up while the API makes the
// token leaves none behind that nobody holds.
func TestA33_CancelledCreateLeavesNothingThatNobodyHolds(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.proxy.instead(cancelAfter("POST", cancel))
	f.callIn(ctx, f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeUnavailable, "was revoked, nothing is left")
	f.proxy.instead(nil)
	f.mustBeRevoked(f.listedID("import"))
	f.mustHaveDelivered(0)
}

// An API that tells more of the value than its public part must not make us
// show it (K9).
func TestR1_R18_A4_TooLongPrefixIsCut(t *testing.T) {
	f := newFixture(t)
	f.proxy.instead(rewriting(t, func(body map[string]json.RawMessage) {
		if value, ok := body["token"]; ok {
			body["token_prefix"] = value
		}
	}))
	var got created
	f.call("create_token", createArguments("import", "1d")).ok(&got)
	if len(got.Prefix) != 16 {
		t.Errorf("the prefix has %d characters, want 16", len(got.Prefix))
	}
}

// Where the clocks of this program differ, the later one refuses.
func TestA2_A36_EachClockMayRefuse(t *testing.T) {
	now := time.Now().Add(-48 * time.Hour)
	f := newFixture(t, func(c *toolsets.Config) { c.Now = func() time.Time { return now } })
	// By this clock it lies in the future; the client has the last word.
	f.call("create_token", createArguments("import", now.Add(time.Hour).UTC().Format(time.RFC3339))).
		failed(tools.CodeInvalidArgument, "no token was made", "in the future")
	f.mustHaveNothingNew()
}
