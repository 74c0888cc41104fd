package server_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/mark3labs/mcp-go/mcp"
)

// A message of no kind must not pass for a notification, which nobody answers,
// and a message of two kinds must not pass for either.
func TestR30_MessagesOfNoKindAndOfTwo(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	for _, body := range []string{
		`{"jsonrpc":"2.0"}`,
		`{"jsonrpc":"2.0","id":1}`,
		`{"jsonrpc":"2.0","id":1,"params":{}}`,
		`{"jsonrpc":"2.0","id":null,"method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"whoami"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","result":null}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","error":{"code":1,"message":"x"}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized","result":{}}`,
	} {
		for era, header := range map[string]headers{
			"2025-11-25":  session,
			modernVersion: bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/list"),
		} {
			answer := h.post(t, header, body)
			if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil || m.Error.Code != mcp.INVALID_REQUEST {
				t.Errorf("%s, %s: status %d, %s", era, body, answer.status, answer.body)
			}
		}
	}
	for _, body := range []string{
		// Some clients write the id that a notification does not have.
		`{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}`,
		// What a client says of a message that it could not read has no id.
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`,
	} {
		if answer := h.post(t, session, body); answer.status != http.StatusAccepted || answer.body != "" {
			t.Errorf("%s: status %d, %s", body, answer.status, answer.body)
		}
	}
}

// Every id comes back byte for byte, and what is none does not come back at all.
func TestHTTP_IDsOfAllKinds(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	long := `"` + strings.Repeat("x", 1<<20-200) + `"`
	for _, id := range []string{
		"0", "-0", "-1", "1.50", "1e3", "9007199254740993", "18446744073709551616", "-170141183460469231731687303715884105729",
		`""`, `"1"`, `"\u0000"`, `"\u202e"`, `"a\nb"`, `"<script>"`, `"ü"`, `"__proto__"`, long,
	} {
		answer := h.post(t, session, `{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`)
		if m := answer.message(t); answer.status != http.StatusOK || m.Error != nil || !sameJSON(t, m.ID, id) {
			t.Errorf("id %.40s: status %d, %.200s", id, answer.status, answer.body)
		}
	}
	for _, id := range []string{"true", "false", "{}", "[]", "[1]", `{"a":1}`, "01", "+1", ".5", "NaN", "0x1", "'1'", `"a`, "1 2", "1:2"} {
		answer := h.post(t, session, `{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`)
		if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil || string(m.ID) != "null" {
			t.Errorf("id %s: status %d, %s", id, answer.status, answer.body)
		}
	}
	// Beyond what a number can be in Go.
	if m := h.post(t, session, `{"jsonrpc":"2.0","id":1e400,"method":"ping"}`).message(t); m.Error == nil || string(m.ID) != "1e400" {
		t.Errorf("id 1e400: %+v", m)
	}
}

// sameJSON compares ids: numbers as they are written, texts as what they say.
func sameJSON(t testing.TB, got json.RawMessage, want string) bool {
	t.Helper()
	if want[0] != '"' {
		return string(got) == want
	}
	var a, b string
	if err := json.Unmarshal(got, &a); err != nil {
		t.Errorf("the id comes back as %s", got)
		return false
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return a == b
}

// Text in other encodings is no JSON, whatever the content type says of it.
func TestR30_BodiesInOtherEncodings(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	ping := request(t, 1, "ping", nil)
	units := utf16.Encode([]rune(ping))
	little, big := make([]byte, 0, 2*len(units)), make([]byte, 0, 2*len(units))
	var wide []byte
	for _, unit := range units {
		little = binary.LittleEndian.AppendUint16(little, unit)
		big = binary.BigEndian.AppendUint16(big, unit)
		wide = binary.BigEndian.AppendUint32(wide, uint32(unit))
	}
	for name, body := range map[string]string{
		"UTF-16, little end":   string(little),
		"UTF-16, big end":      string(big),
		"UTF-16 with a mark":   "\xff\xfe" + string(little),
		"UTF-32":               string(wide),
		"UTF-7":                strings.NewReplacer("{", "+AHs-", "}", "+AH0-", `"`, "+ACI-").Replace(ping),
		"overlong UTF-8":       strings.Replace(ping, "ping", "\xc1\xb0ing", 1),
		"surrogates in UTF-8":  strings.Replace(ping, "ping", "\xed\xa0\xbd\xed\xb8\x80", 1),
		"a NUL before it":      "\x00" + ping,
		"a NUL behind it":      ping + "\x00",
		"another kind of gaps": strings.Replace(ping, ",", ",\u00a0", 1),
		"JSON with comments":   "// x\n" + ping,
		"JSON text sequence":   "\x1e" + ping + "\n",
		"nothing":              "",
		"gaps alone":           " \r\n\t",
	} {
		for _, contentType := range []string{"application/json", "application/json; charset=utf-16", "application/json;charset=UTF-7", `application/json; charset="utf-8"; boundary=x`} {
			answer := h.post(t, session.with("Content-Type", contentType), body)
			if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil || m.Error.Code != mcp.PARSE_ERROR {
				t.Errorf("%s as %s: status %d, %s", name, contentType, answer.status, answer.body)
			}
		}
	}
	for _, contentType := range []string{
		"application/json, text/plain", "text/plain, application/json", "application/json text/plain", "application/json;", "application/json; charset",
		"application/json/x", "application/*", "*/*", "application/x-json", "application/vnd.api+json", "application/json-rpc",
	} {
		answer := h.post(t, session.with("Content-Type", contentType), ping)
		// A lone semicolon is how some clients write no parameters.
		if want := contentType == "application/json;"; (answer.status == http.StatusOK) != want || !want && answer.status != http.StatusUnsupportedMediaType {
			t.Errorf("Content-Type %q: status %d, %s", contentType, answer.status, answer.body)
		}
	}
}

// A tool whose answer cannot be written must not leave its client waiting.
func TestR33_AnswerThatIsNoJSONIsAnError(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "nan", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if _, err := notifying(ctx, r); err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{StructuredContent: math.NaN()}, nil
	})
	session := h.session(t, bearer(h.pat), noCapabilities)
	for _, answer := range []httpAnswer{
		h.post(t, session, call(t, "a", "nan", map[string]any{"n": 0})),
		h.post(t, session, call(t, "a", "nan", map[string]any{"n": 1})),
		h.modern(t, bearer(h.pat), "a", "tools/call", map[string]any{"name": "nan", "arguments": map[string]any{"n": 0}}),
	} {
		m := answer.message(t)
		if m.Error == nil || m.Error.Code != mcp.INTERNAL_ERROR || string(m.ID) != `"a"` || strings.Contains(answer.body, "NaN") {
			t.Errorf("status %d, %s", answer.status, answer.body)
		}
	}
	p := startStdio(t, h.house)
	p.handshake(noCapabilities)
	p.send(call(t, "b", "nan", map[string]any{"n": 0}))
	if m := p.answer(`"b"`); m.Error == nil || m.Error.Code != mcp.INTERNAL_ERROR {
		t.Errorf("over stdio: %+v", m)
	}
}

// Reading a message must stay cheap whatever is in it: it is read before anybody
// is asked whose it is.
func TestA22_CostlyMessagesAreRefusedInTime(t *testing.T) {
	h := serveHTTP(t)
	var members strings.Builder
	for i := 0; members.Len() < 1<<20-100; i++ {
		members.WriteString(`"` + string(rune('a'+i%26)) + strings.Repeat("b", i%7) + jsonNumber(i) + `":1,`)
	}
	for name, body := range map[string]string{
		"members":           `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + members.String() + `"z":1}}`,
		"members of _meta":  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{` + members.String()[:900_000] + `":1}}}`,
		"lists":             `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[` + strings.Repeat("[],", 340_000) + `1]}}`,
		"a long name":       `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"` + strings.Repeat("a", 1<<20-100) + `":1}}`,
		"a long method":     `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat(`\u0061`, 170_000) + `"}`,
		"a long number":     `{"jsonrpc":"2.0","id":` + strings.Repeat("9", 1<<20-100) + `,"method":"ping"}`,
		"depth, again":      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[` + strings.Repeat(strings.Repeat("[", 90)+strings.Repeat("]", 90)+",", 5700) + `1]}}`,
		"brackets in texts": `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"` + strings.Repeat("[{", 500_000) + `"}}`,
	} {
		if len(body) > 1<<20 {
			t.Fatalf("%s: %d bytes", name, len(body))
		}
		began := time.Now()
		if answer := h.post(t, nil, body); answer.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d, %.200s", name, answer.status, answer.body)
		}
		// A few hundredths of a second, on a machine that does nothing else.
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: refused after %s", name, took)
		}
	}
}

func jsonNumber(i int) string {
	data, _ := json.Marshal(i) // an int can be written
	return string(data)
}

// A yes to one reader and a no to another is no answer.
func TestR30_AnswersOfThePersonAreReadInOneWayOnly(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), asksPeople)
	for _, result := range []string{
		`{"action":"decline","ACTION":"accept","content":{"approve":true}}`,
		`{"Action":"accept","content":{"approve":true}}`,
		`{"action":"accept","content":{"approve":false},"Content":{"approve":true}}`,
	} {
		target := h.api.Token(t, "ada@example.com", "old", nil) // one that nobody was asked about
		s := h.open(t, "POST", session, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
		question := s.next()
		if answer := h.post(t, session, `{"jsonrpc":"2.0","id":`+string(question.ID)+`,"result":`+result+`}`); answer.status != http.StatusAccepted {
			t.Errorf("%s: status %d", result, answer.status)
		}
		if answer := s.next().tool(t); !answer.IsError || !h.works(t, target.Value) {
			t.Fatalf("%s: %s", result, answer.text())
		}
		s.ends()

		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"revoke_token","arguments":{"id":"` + target.ID + `"},"inputResponses":{"decision":` + result + `},"requestState":"x"}}`
		if answer := h.post(t, session, body); answer.status != http.StatusBadRequest || answer.message(t).Error.Code != mcp.INVALID_REQUEST {
			t.Errorf("%s in the call: status %d, %s", result, answer.status, answer.body)
		}
	}
}
