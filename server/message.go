package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mark3labs/mcp-go/mcp"
)

// maxDepth bounds how deep a message may be nested. What clients send has a
// depth of ten at most.
const maxDepth = 100

// maxValues bounds how many values a message may hold. Each becomes many times
// its size in memory; what clients send has a few hundred at most.
const maxValues = 10_000

// message is as much of a JSON-RPC message as is needed to route it.
type message struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  json.RawMessage

	// metaVersion is the protocol version that the message itself tells, as it
	// does since 2026-07-28.
	metaVersion string
	// meta is what params._meta holds.
	meta map[string]json.RawMessage
	// name is params.name, such as that of a tool; empty if it is none.
	name string
	// uri is params.uri as it was written.
	uri json.RawMessage
	// text is the whole message.
	text []byte
}

func (m *message) hasID() bool { return len(m.ID) > 0 && string(m.ID) != "null" }

func (m *message) isRequest() bool { return m.Method != "" && m.hasID() }

// isAnswer reports whether the message answers a question of the server's.
func (m *message) isAnswer() bool {
	return m.Method == "" && m.hasID() && (m.Result != nil || m.Error != nil)
}

// hasProperID reports whether the id, if there is one, is of a kind that
// JSON-RPC 2.0 allows.
func (m *message) hasProperID() bool {
	return !m.hasID() || m.ID[0] == '"' || m.ID[0] == '-' || (m.ID[0] >= '0' && m.ID[0] <= '9')
}

// badMessage is why something is no message.
type badMessage struct {
	code int
	text string
	// id is that of the message, where it could be told.
	id json.RawMessage
}

func (b *badMessage) Error() string { return b.text }

func (b *badMessage) answer() mcp.JSONRPCError { return errorResponse(b.id, b.code, b.text) }

// Names that the library finds in any case, as Go's JSON decoder does. Whoever
// writes them in another one means two readers to see two things.
var (
	messageNames = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	paramNames   = []string{
		"_meta", "name", "arguments", "uri", "cursor", "level", "protocolVersion", "capabilities", "clientInfo",
		"requestId", "reason", "ref", "argument", "context", "notifications", "inputResponses", "requestState", "task",
	}
)

// parseMessage reads one JSON-RPC message. What two readers might understand
// differently is refused, since what is checked here is what the library does
// later: names that come twice or in another case, text that is not UTF-8, and
// anything behind the message (RFC 8259, sections 4 and 8). A byte order mark in
// front is skipped. The error has the id of the request wherever it can be read.
func parseMessage(text []byte) (*message, *badMessage) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	m, bad := parseUnmarked(text)
	if bad != nil && bad.id == nil {
		bad.id = findID(text)
	}
	return m, bad
}

// byteOrderMark is what some programs write before text in UTF-8.
var byteOrderMark = []byte("\ufeff")

func parseUnmarked(text []byte) (*message, *badMessage) {
	if problem := tooCostly(text, maxDepth, maxValues); problem != "" {
		return nil, &badMessage{code: mcp.INVALID_REQUEST, text: problem}
	}
	members, err := readObject(text, messageNames)
	if err != nil {
		return nil, err
	}
	m := &message{ID: members["id"], Params: members["params"], Result: members["result"], Error: members["error"], text: text}
	if !m.hasProperID() {
		return nil, &badMessage{code: mcp.INVALID_REQUEST, text: "the id is neither a string nor a number"}
	}
	if string(members["jsonrpc"]) != `"2.0"` {
		return nil, &badMessage{code: mcp.INVALID_REQUEST, text: `"jsonrpc" has to be "2.0"`, id: m.ID}
	}
	if method, ok := members["method"]; ok {
		if json.Unmarshal(method, &m.Method) != nil || m.Method == "" {
			return nil, &badMessage{code: mcp.INVALID_REQUEST, text: `"method" has to be the name of a method`, id: m.ID}
		}
	}
	if problem := m.ambiguity(); problem != "" {
		return nil, &badMessage{code: mcp.INVALID_REQUEST, text: problem, id: m.ID}
	}
	switch {
	case len(m.Params) > 0 && m.Params[0] == '{':
		if err := m.readParams(); err != nil {
			err.id = m.ID
			return nil, err
		}
	case len(m.Params) > 0 && (m.Method == string(mcp.MethodPing) || strings.HasSuffix(m.Method, "/list")) && isEmptyArray(m.Params):
		// Some languages write an empty object so. These methods need no parameter.
		m.setParams(json.RawMessage("{}"))
	}
	return m, nil
}

// ambiguity says why it cannot be told whether a message is a request, a
// notification or an answer; empty if it can.
func (m *message) ambiguity() string {
	answers := m.Result != nil || m.Error != nil
	switch {
	case m.Method != "" && answers:
		return "the message is a request and an answer at once; send one of the two"
	case m.Method == "" && !answers:
		return "the message has neither a method nor a result"
	case m.Method != "" && string(m.ID) == "null" && !strings.HasPrefix(m.Method, "notifications/"):
		// Some clients write the id that a notification does not have as null. A
		// request like that would wait for ever.
		return "the id of a request must not be null"
	}
	return ""
}

func (m *message) readParams() *badMessage {
	params, err := readObject(m.Params, paramNames)
	if err != nil {
		return err
	}
	if err := checkInputResponses(params["inputResponses"]); err != nil {
		return err
	}
	_ = json.Unmarshal(params["name"], &m.name) // what is no text is no name
	m.uri = params["uri"]
	if meta := params["_meta"]; len(meta) > 0 && meta[0] == '{' {
		if m.meta, err = readObject(meta, nil); err != nil {
			return err
		}
		_ = json.Unmarshal(m.meta[mcp.MetaKeyProtocolVersion], &m.metaVersion) // what is no text is no version
	}
	m.dropUnused(params)
	return nil
}

func isEmptyArray(text json.RawMessage) bool {
	var values []json.RawMessage
	return text[0] == '[' && json.Unmarshal(text, &values) == nil && len(values) == 0
}

// answerNames are those of a person's answer to a question.
var answerNames = []string{"action", "content"}

// checkInputResponses refuses answers that one reader takes for a yes and
// another for a no.
func checkInputResponses(responses json.RawMessage) *badMessage {
	if len(responses) == 0 || responses[0] != '{' {
		return nil // the library says what is wrong with it
	}
	answers, err := readObject(responses, nil)
	if err != nil {
		return err
	}
	for _, answer := range answers {
		if answer[0] != '{' {
			continue
		}
		if _, err := readObject(answer, answerNames); err != nil {
			return err
		}
	}
	return nil
}

// readObject returns the members of a JSON object as they are written in text.
// A member whose name is one of names but for its case is an error.
func readObject(text []byte, names []string) (map[string]json.RawMessage, *badMessage) {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.ReadToken(); err != nil {
		return nil, notAnObject(err)
	} else if start.Kind() != '{' {
		if !jsontext.Value(text).IsValid() {
			return nil, notAnObject(nil)
		}
		return nil, &badMessage{code: mcp.INVALID_REQUEST, text: "the message is not a JSON-RPC object; batches are not served"}
	}
	members := map[string]json.RawMessage{}
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, notAnObject(err)
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, notAnObject(err)
		}
		if !slices.Contains(names, name) {
			if i := slices.IndexFunc(names, func(known string) bool { return strings.EqualFold(known, name) }); i >= 0 {
				return nil, &badMessage{code: mcp.INVALID_REQUEST, text: `write "` + names[i] + `" in exactly these letters`}
			}
		}
		end := int(decoder.InputOffset())
		members[name] = text[end-len(value) : end : end]
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, notAnObject(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &badMessage{code: mcp.PARSE_ERROR, text: "there is something behind the message; send one message at a time"}
	}
	return members, nil
}

func notAnObject(err error) *badMessage {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return &badMessage{code: mcp.INVALID_REQUEST, text: "a name comes twice in one object; send it once"}
	}
	return &badMessage{code: mcp.PARSE_ERROR, text: "the message is not valid JSON"}
}

// tooCostly says why text would take many times its size when it is read as
// JSON, empty if it would not. Whether it is JSON at all is not looked at.
func tooCostly(text []byte, depthLimit, valueLimit int) string {
	depth, values, inString := 0, 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			values++
			if depth++; depth > depthLimit {
				return fmt.Sprintf("the message is nested too deep; send at most %d levels", depthLimit)
			}
		case c == ',':
			values++
		case c == '}' || c == ']':
			depth--
		}
		if values > valueLimit {
			return fmt.Sprintf("the message holds too many values; send at most %d", valueLimit)
		}
	}
	return ""
}
