package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// A message that is accepted reads the same to encoding/json, with which the
// library reads it again.
func FuzzR30_AcceptedMessagesHaveOneReading(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"whoami","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"agree":true}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":[{"a":1,"a":2}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, bad := Parse(text)
		if bad != nil {
			if bad.Text == "" || bad.Code == 0 || len(bad.Text) > 200 {
				t.Fatalf("%q: a refusal without a reason: %+v", text, bad)
			}
			return
		}
		if problem := onlyReading(text); problem != nil {
			t.Fatalf("%q was accepted: %v", text, problem)
		}
		var theirs map[string]json.RawMessage
		if err := json.Unmarshal(text, &theirs); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for name, ours := range map[string]json.RawMessage{"id": m.ID, "params": m.Params, "result": m.Result, "error": m.Error} {
			if !bytes.Equal(ours, theirs[name]) {
				t.Errorf("%q: %s is %s and %s", text, name, ours, theirs[name])
			}
		}
		var typed struct {
			Method string
			Params json.RawMessage
		}
		if err := json.Unmarshal(text, &typed); err != nil || typed.Method != m.Method {
			t.Errorf("%q: the method is %q and %q (%v)", text, m.Method, typed.Method, err)
		}
		if !bytes.Equal(typed.Params, m.Params) && string(m.Params) != "null" {
			t.Errorf("%q: the parameters are %s and %s", text, m.Params, typed.Params)
		}
		var params map[string]json.RawMessage
		if json.Unmarshal(m.Params, &params) == nil {
			var name string
			_ = json.Unmarshal(params["name"], &name)
			if name != m.Name || !bytes.Equal(params["uri"], m.params["uri"]) {
				t.Errorf("%q: name and uri are %q, %s and %q, %s", text, m.Name, m.params["uri"], name, params["uri"])
			}
		}
		if m.IsRequest() && m.IsAnswer() {
			t.Errorf("%q is a request and an answer", text)
		}
	})
}

// onlyReading reports why text could be read in two ways. It shares no code with
// the parser.
func onlyReading(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a value follows, not a name
	}
	var stack []*level
	top := func() *level {
		if len(stack) == 0 {
			return nil
		}
		return stack[len(stack)-1]
	}
	for done := false; !done; {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		in := top()
		if name, ok := token.(string); ok && in != nil && in.names != nil && !in.value {
			if in.names[name] {
				return fmt.Errorf("%q comes twice", name)
			}
			in.names[name], in.value = true, true
			continue
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == 0 && token != json.Delim('{') {
				return errors.New("it is not an object")
			}
			next := &level{}
			if token == json.Delim('{') {
				next.names = map[string]bool{}
			}
			if stack = append(stack, next); len(stack) > MaxDepth {
				return errors.New("it is nested too deep")
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		default:
			if len(stack) == 0 {
				return errors.New("it is not an object")
			}
		}
		if in = top(); in != nil {
			in.value = false
		}
		done = len(stack) == 0
	}
	if rest, err := io.ReadAll(io.MultiReader(decoder.Buffered())); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%q follows it", rest)
	}
	return nil
}

// A message that is written as the protocol says is accepted, whatever stands in
// it, and read back.
func FuzzR30_WellFormedMessagesAreRead(f *testing.F) {
	f.Add("a", "tools/call", "whoami", "x")
	f.Add("", "notifications/x", "\u202e", `{"`)
	f.Add("\x00", "p", `\u0000`, "\n")
	f.Fuzz(func(t *testing.T, id, method, name, note string) {
		for _, text := range []string{id, method, name, note} {
			if !utf8.ValidString(text) {
				t.Skip("not a text that JSON can hold")
			}
		}
		if method == "" {
			t.Skip("not a method")
		}
		text, err := json.Marshal(map[string]any{
			"jsonrpc": "2.0", "id": id, "method": method, "params": map[string]any{"name": name, "note": []string{note}},
		})
		if err != nil {
			t.Fatal(err)
		}
		m, bad := Parse(text)
		if bad != nil {
			t.Fatalf("%q was refused: %v", text, bad)
		}
		var gotID string
		if err := json.Unmarshal(m.ID, &gotID); err != nil || gotID != id || m.Method != method || m.Name != name || !m.IsRequest() {
			t.Errorf("%q became id %q, method %q, name %q (%v)", text, gotID, m.Method, m.Name, err)
		}
	})
}

// Lines are the same however the bytes arrive, and one that is too long costs
// itself alone.
func FuzzA22_LinesAreReadWholeOrNotAtAll(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), false)
	f.Add([]byte("\n\n"), true)
	f.Add([]byte("{}\nlast"), true)
	huge := strings.Repeat("x", MaxLine+1)
	f.Fuzz(func(t *testing.T, text []byte, afterHuge bool) {
		want := bytes.Split(text, []byte("\n"))
		if len(want[len(want)-1]) == 0 {
			want = want[:len(want)-1] // nothing follows the last line feed
		}
		readers := []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text)), iotest.DataErrReader(bytes.NewReader(text))}
		if afterHuge {
			readers = []io.Reader{io.MultiReader(strings.NewReader(huge+"\n"), bytes.NewReader(text))}
		}
		for i, reader := range readers {
			lines := NewLineReader(reader)
			if afterHuge {
				if line, err := lines.Next(); !errors.As(err, new(*LineTooLong)) || line != nil {
					t.Fatalf("a line over the limit: %d bytes, %v", len(line), err)
				}
			}
			for n, expected := range want {
				line, err := lines.Next()
				if err != nil || !bytes.Equal(line, expected) {
					t.Fatalf("reader %d, line %d: %q, %v; want %q", i, n, line, err, expected)
				}
			}
			if line, err := lines.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("reader %d: %q, %v after the last line", i, line, err)
			}
		}
	})
}
