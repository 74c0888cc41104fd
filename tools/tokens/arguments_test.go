package tokens_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/redact"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestR30_A40_WrongArgumentsAreRefusedAndTaught(t *testing.T) {
	f := newExtendedFixture(t)
	const create = `{"name":"import","expires":"30d"`
	long := strings.Repeat("x", 600)
	for _, test := range []struct {
		label, tool, arguments string
		words                  []string
	}{
		{"an unknown name", "create_token", create + `,"path":"/srv/www"}`, []string{`no argument "path"`, `"name", "expires"`}},
		{"another case", "create_token", `{"Name":"import","expires":"30d"}`, []string{`no argument "Name"`, `use "name"`}},
		{"both cases", "create_token", create + `,"NAME":"other"}`, []string{`no argument "NAME"`}},
		{"the same name twice", "create_token", create + `,"name":"other"}`, []string{`"name" stands in it twice`}},
		{"the same name twice, once escaped", "create_token", create + `,"n\u0061me":"other"}`, []string{`"name" stands in it twice`}},
		{"a missing name", "create_token", `{"expires":"30d"}`, []string{`"name" is missing`, "What the token is for"}},
		{"a missing expiry", "create_token", `{"name":"import"}`, []string{`"expires" is missing`, `"30d"`}},
		{"nothing", "create_token", `null`, []string{`"name" is missing`}},
		{"null for a text", "create_token", `{"name":null,"expires":"30d"}`, []string{`"name" must be text in quotes, not null`}},
		{"null for an expiry", "create_token", `{"name":"import","expires":null}`, []string{`"expires" must be text in quotes, not null`, "days from now"}},
		{"a number for an expiry", "create_token", `{"name":"import","expires":30}`, []string{`"expires" must be text in quotes, not a number`}},
		{"an object for a text", "create_token", `{"name":{},"expires":"30d"}`, []string{`not an object`}},
		{"a list for a text", "create_token", `{"name":["a"],"expires":"30d"}`, []string{`not a list`}},
		{"true for a text", "create_token", `{"name":true,"expires":"30d"}`, []string{`not true or false`}},
		{"a list of arguments", "create_token", `["import","30d"]`, []string{"it is a list", `"name", "expires"`}},
		{"a text of arguments", "create_token", `"name=import"`, []string{"it is text"}},
		{"a number of arguments", "create_token", `7`, []string{"it is a number"}},
		{"text that is not UTF-8", "create_token", "{\"name\":\"im\xffport\",\"expires\":\"30d\"}", []string{"not valid UTF-8"}},
		{"half a surrogate pair", "create_token", `{"name":"im\ud800port","expires":"30d"}`, []string{"cannot be seen"}},
		{"a name that is too long", "create_token", `{"name":"` + long + `","expires":"30d"}`, []string{"600 characters", "at most 100"}},
		{"an expiry that is too long", "create_token", `{"name":"import","expires":"` + long + `"}`, []string{"600 characters", "at most 64"}},
		{"a road chosen by the model", "create_token", create + `,"deliver":"inline"}`, []string{`no argument "deliver"`}},
		{"an owner chosen by the model", "create_token", create + `,"user_id":"u_1"}`, []string{`no argument "user_id"`}},

		{"an argument where there are none", "whoami", `{"verbose":true}`, []string{`no argument "verbose"`, "no arguments"}},

		{"a status in another case", "list_tokens", `{"status":"Active"}`, []string{`"status" cannot be "Active"`, "active, expired, revoked, not_yet_valid, all"}},
		{"a blank status", "list_tokens", `{"status":" "}`, []string{"active, expired, revoked, not_yet_valid, all"}},
		{"a word for a number", "list_tokens", `{"limit":"fifty"}`, []string{`"limit" cannot be "fifty"`, "from 1 to 200, without quotes"}},
		{"digits and more", "list_tokens", `{"limit":"5.0x"}`, []string{`"limit" cannot be "5.0x"`, "from 1 to 200"}},
		{"a fraction in quotes", "list_tokens", `{"limit":"1.5"}`, []string{`"limit" cannot be "1.5"`, "from 1 to 200"}},
		{"one too many in quotes", "list_tokens", `{"limit":"201"}`, []string{`"limit" cannot be "201"`, "from 1 to 200"}},
		{"digits of another script", "list_tokens", `{"limit":"٥"}`, []string{`"limit" cannot be "٥"`, "from 1 to 200"}},
		{"no permissions at all", "create_token", create + `,"permissions":[]}`, []string{`"permissions" has 0 entries`, "leave it out"}},
		{"a text for permissions", "create_token", create + `,"permissions":""}`, []string{`"permissions" must be a list of texts, not text`}},
		{"null among permissions", "create_token", create + `,"permissions":[null]}`, []string{`"permissions" must hold texts in quotes, not null`}},
		{"an empty name", "create_token", `{"name":"","expires":"30d"}`, []string{`"name" is empty`}},
		{"an empty expiry", "create_token", `{"name":"import","expires":""}`, []string{`"expires" cannot be ""`}},
		{"null for an id", "revoke_token", `{"id":null}`, []string{`"id" must be text in quotes, not null`}},
		{"an empty id", "revoke_token", `{"id":""}`, []string{`"id"`}},
		{"a fraction", "list_tokens", `{"limit":1.5}`, []string{`"limit" cannot be 1.5`, "from 1 to 200"}},
		{"zero", "list_tokens", `{"limit":0}`, []string{`"limit" cannot be 0`}},
		{"less than zero", "list_tokens", `{"unused_days":-1}`, []string{`"unused_days" cannot be -1`, "from 1 to 36500"}},
		{"one too many", "list_tokens", `{"limit":201}`, []string{`"limit" cannot be 201`, "from 1 to 200"}},
		{"more than an int", "list_tokens", `{"limit":9223372036854775808}`, []string{`"limit" cannot be 9223372036854775808`}},
		{"a huge number", "list_tokens", `{"limit":1e300}`, []string{`"limit" cannot be 1e300`, "from 1 to 200"}},
		{"true for a number", "list_tokens", `{"limit":true}`, []string{`"limit" must be a number, not true or false`}},
		{"a list for a number", "list_tokens", `{"limit":[50]}`, []string{`not a list`}},

		{"an agreement by the model", "revoke_token", `{"id":"pat_1","confirm":true}`, []string{`no argument "confirm"`}},
		{"many ids", "revoke_token", `{"id":["pat_1","pat_2"]}`, []string{`"id" must be text in quotes, not a list`}},
		{"ids in the plural", "revoke_token", `{"ids":["pat_1"]}`, []string{`no argument "ids"`, `"id"`}},
	} {
		t.Run(test.label, func(t *testing.T) {
			f.t = t
			f.call(test.tool, test.arguments).failed(tools.CodeInvalidArgument, append(test.words, "Next: ")...)
			f.callModern(`{"elicitation":{}}`, test.tool, test.arguments).failed(tools.CodeInvalidArgument, test.words...)
		})
	}
	f.t = t
	f.mustHaveNothingNew()
	if n := len(f.proxy.values()); n != 0 {
		t.Errorf("%d tokens were made", n)
	}
}

// What is repeated of wrong arguments must not carry a token's value on, nor
// what cannot be seen.
func TestR1_R31_ErrorsRepeatNoValueAndNothingInvisible(t *testing.T) {
	f := newFixture(t)
	value := f.token("second").Value
	f.left.searchFor(t, value)
	public := value[:len("kbn_pat_")+8]
	for label, call := range map[string][2]string{
		"an unknown name":   {"whoami", `{"` + value + `":1}`},
		"a name twice":      {"whoami", `{"` + value + `":1,"` + value + `":2}`},
		"a status":          {"list_tokens", `{"status":"` + value + `"}`},
		"an expiry":         {"create_token", `{"name":"import","expires":"` + value + `"}`},
		"a name of a token": {"create_token", `{"name":"copy of ` + value + `","expires":"30d"}`},
		"an id":             {"revoke_token", `{"id":"` + value + `"}`},
		"the id of half":    {"revoke_token", `{"id":"` + value[:30] + `"}`},
		"hidden in between": {"list_tokens", `{"status":"kbn_\u200bpat_` + value[len("kbn_pat_"):] + `"}`},
	} {
		t.Run(label, func(t *testing.T) {
			f.t = t
			text := f.call(call[0], call[1]).failed(tools.CodeInvalidArgument).text()
			if strings.Contains(text, value[len(public):len(public)+6]) {
				t.Errorf("the error repeats a part of the value: %q", text)
			}
		})
	}
	for _, literal := range redact.Literals() {
		other := literal + rand.Text()
		for _, call := range [][2]string{
			{"list_tokens", `{"status":"` + other + `"}`}, {"create_token", `{"name":"copy of ` + other + `","expires":"30d"}`}, {"revoke_token", `{"id":"` + other + `"}`},
		} {
			if text := f.call(call[0], call[1]).failed(tools.CodeInvalidArgument).text(); strings.Contains(text, other[len(literal)+redact.PublicLen:]) {
				t.Errorf("%s repeats a part of a secret: %q", call[0], text)
			}
		}
	}
	f.t = t
	f.left.searchFor(t, value)
	for _, r := range []rune{0x1b, 0x202e, 0x200b, 0xe0041, 0xfeff, '\u2028'} {
		text := f.call("list_tokens", `{"status":`+quoted("a"+string(r)+"b\nc")+`}`).failed(tools.CodeInvalidArgument).text()
		if strings.ContainsRune(text, r) || strings.Count(text, "\n") != 1 {
			t.Errorf("the error repeats %U: %q", r, text)
		}
	}
	f.mustBeLive(f.listedID("second"))
}

func (f *fixture) listedID(name string) string {
	f.t.Helper()
	for id, token := range f.listed() {
		if token.Name == name {
			return id
		}
	}
	f.t.Fatalf("there is no token %q", name)
	return ""
}

func TestNumbersInTheFormsOfJSONAreTaken(t *testing.T) {
	f := newFixture(t)
	for _, number := range []string{"1", "200", "50.0", "2e1"} {
		f.call("list_tokens", `{"limit":`+number+`}`).ok(nil)
	}
	f.call("list_tokens", `{}`).ok(nil)
	f.call("whoami", `null`).ok(nil)
}
