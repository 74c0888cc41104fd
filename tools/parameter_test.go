package tools_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/tools"
)

// A tool with a boolean and a map of texts, as later toolsets have them.
var taught = &tools.Tool{Name: "update_lead", Parameters: []tools.Parameter{
	{Name: "watched", Kind: tools.Boolean, Description: "Whether to watch it."},
	{Name: "certain", Kind: tools.Boolean, Required: true, Description: "Whether it is certain."},
	{Name: "metadata", Kind: tools.TextMap, MaxItems: 2, MaxLength: 5, Description: `What to note, such as {"stage":"demo"}.`},
}}

func TestBooleansAndTextMapsAreInTheSchema(t *testing.T) {
	const want = `{"type":"object","properties":{` +
		`"watched":{"type":"boolean","description":"Whether to watch it."},` +
		`"certain":{"type":"boolean","description":"Whether it is certain."},` +
		`"metadata":{"type":"object","additionalProperties":{"type":"string"},"description":"What to note, such as {\"stage\":\"demo\"}."}` +
		`},"required":["certain"],"additionalProperties":false}`
	if got := string(taught.Definition().RawInputSchema); got != want {
		t.Errorf("the schema is\n%s\nwant\n%s", got, want)
	}
}

func TestBooleansAndTextMapsAreRead(t *testing.T) {
	for raw, want := range map[string]tools.Arguments{
		`{"certain":true}`:                                      {"certain": true},
		`{"certain":false,"watched":true}`:                      {"certain": false, "watched": true},
		`{"certain":true,"watched":"false"}`:                    {"certain": true, "watched": false},
		`{"certain":true,"watched":" True "}`:                   {"certain": true, "watched": true},
		`{"certain":true,"watched":"","metadata":null}`:         {"certain": true},
		`{"certain":true,"watched":null}`:                       {"certain": true},
		`{"certain":true,"metadata":{"a":"x","ä":"12345"}}`:     {"certain": true, "metadata": map[string]string{"a": "x", "ä": "12345"}},
		`{"certain":true,"metadata":{"stage":"","b":"\u00e4"}}`: {"certain": true, "metadata": map[string]string{"stage": "", "b": "ä"}},
	} {
		got, err := taught.ParseArguments(json.RawMessage(raw))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", raw, got, err, want)
		}
		if got.Is("certain") != want["certain"] || len(got.Texts("metadata")) != 0 && got.Texts("metadata")["a"] != want.Texts("metadata")["a"] {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestP1_BooleansAndTextMapsStayStrict(t *testing.T) {
	for raw, says := range map[string]string{
		`{"certain":"true"}`:                                 `"certain" cannot be "true"`,
		`{"certain":1}`:                                      `"certain" cannot be 1`,
		`{"certain":null}`:                                   `"certain" cannot be null`,
		`{"certain":true,"watched":"yes"}`:                   `"watched" cannot be "yes"`,
		`{"certain":true,"watched":[]}`:                      `"watched" cannot be []`,
		`{"certain":true,"metadata":{}}`:                     `"metadata" has 0 entries`,
		`{"certain":true,"metadata":""}`:                     `"metadata" must be an object, not text`,
		`{"certain":true,"metadata":["a"]}`:                  `"metadata" must be an object, not a list`,
		`{"certain":true,"metadata":{"a":1}}`:                `"a" of "metadata" must be text in quotes, not a number`,
		`{"certain":true,"metadata":{"a":null}}`:             `"a" of "metadata" must be text in quotes, not null`,
		`{"certain":true,"metadata":{"a":{"b":"c"}}}`:        `"a" of "metadata" must be text in quotes, not an object`,
		`{"certain":true,"metadata":{"a":"1","a":"2"}}`:      `"metadata" cannot be read: "a" stands in it twice`,
		`{"certain":true,"metadata":{"":"1"}}`:               `an entry of "metadata" has 1 characters`,
		`{"certain":true,"metadata":{"a":"123456"}}`:         `an entry of "metadata" has 6 characters`,
		`{"certain":true,"metadata":{"abcdef":""}}`:          `an entry of "metadata" has 6 characters`,
		`{"certain":true,"metadata":{"a":"","b":"","c":""}}`: `"metadata" has 3 entries`,
	} {
		got, err := taught.ParseArguments(json.RawMessage(raw))
		e, ok := tools.AsError(err)
		if !ok || e.Code != tools.CodeInvalidArgument || !strings.Contains(e.Message, says) || e.Next == "" {
			t.Errorf("%s: %v, %v, want an error with %q", raw, got, err, says)
		}
	}
}
