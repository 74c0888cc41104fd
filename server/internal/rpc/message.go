package rpc

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

// MaxDepth bounds how deep a message may be nested. Clients send a depth of ten at
// most.
const MaxDepth = 100

// MaxValues bounds how many values a message may hold, because each takes many
// times its size in memory. Clients send a few hundred at most.
const MaxValues = 10_000

// Message is a JSON-RPC message, read as far as it takes to route it and to call a
// tool.
type Message struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  json.RawMessage

	// Version is the protocol version that the message itself names, as it does since
	// 2026-07-28.
	Version string
	// Meta is params._meta.
	Meta map[string]json.RawMessage
	// Name is params.name, such as that of a tool, empty if that is not a name.
	Name string
	// Text is the whole message.
	Text []byte

	// params are the members of Params, nil if that is not an object.
	params map[string]json.RawMessage
}

func (m *Message) hasID() bool { return len(m.ID) > 0 && string(m.ID) != "null" }

// IsRequest reports whether the message is a request, which needs an answer.
func (m *Message) IsRequest() bool { return m.Method != "" && m.hasID() }

// IsAnswer reports whether the message answers a question of the server.
func (m *Message) IsAnswer() bool {
	return m.Method == "" && m.hasID() && (m.Result != nil || m.Error != nil)
}

// hasProperID reports whether the id, if there is one, is of a kind that
// JSON-RPC 2.0 allows.
func (m *Message) hasProperID() bool {
	return !m.hasID() || m.ID[0] == '"' || m.ID[0] == '-' || (m.ID[0] >= '0' && m.ID[0] <= '9')
}

// BadMessage is why some text is not a message.
type BadMessage struct {
	Code int
	Text string
	// ID is that of the message, if it could be read.
	ID json.RawMessage
}

func (b *BadMessage) Error() string { return b.Text }

// Answer returns the error answer to the message.
func (b *BadMessage) Answer() mcp.JSONRPCError { return ErrorResponse(b.ID, b.Code, b.Text) }

// Names that the library finds in any case, as encoding/json does. Another case
// would let two readers see two different things.
var (
	messageNames = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	paramNames   = []string{
		"_meta", "name", "arguments", "uri", "cursor", "level", "protocolVersion", "capabilities", "clientInfo",
		"requestId", "reason", "ref", "argument", "context", "notifications", "inputResponses", "requestState", "task",
	}
)

// Parse reads one JSON-RPC message. It refuses anything that another reader might
// understand differently, since the library reads some messages again: repeated
// names, names in another case, text that is not UTF-8, and anything behind the
// message (RFC 8259, sections 4 and 8). A byte order mark in front is skipped. The
// error has the id of the request if it can be read.
func Parse(text []byte) (*Message, *BadMessage) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	m, bad := parseUnmarked(text)
	if bad != nil && bad.ID == nil {
		bad.ID = findID(text)
	}
	return m, bad
}

// byteOrderMark is written by some programs before text in UTF-8.
var byteOrderMark = []byte("\ufeff")

func parseUnmarked(text []byte) (*Message, *BadMessage) {
	if problem := tooCostly(text, MaxDepth, MaxValues); problem != "" {
		return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: problem}
	}
	members, err := readObject(text, messageNames)
	if err != nil {
		return nil, err
	}
	m := &Message{ID: members["id"], Params: members["params"], Result: members["result"], Error: members["error"], Text: text}
	if !m.hasProperID() {
		return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: "the id is neither a string nor a number"}
	}
	if string(members["jsonrpc"]) != `"2.0"` {
		return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: `"jsonrpc" must be "2.0"`, ID: m.ID}
	}
	if method, ok := members["method"]; ok {
		if json.Unmarshal(method, &m.Method) != nil || m.Method == "" {
			return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: `"method" must be the name of a method`, ID: m.ID}
		}
	}
	if problem := m.ambiguity(); problem != "" {
		return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: problem, ID: m.ID}
	}
	switch {
	case len(m.Params) > 0 && m.Params[0] == '{':
		if err := m.readParams(); err != nil {
			err.ID = m.ID
			return nil, err
		}
	case len(m.Params) > 0 && (m.Method == string(mcp.MethodPing) || strings.HasSuffix(m.Method, "/list")) && isEmptyArray(m.Params):
		// Some languages write an empty object like this. These methods need no
		// parameters.
		m.setParams(json.RawMessage("{}"))
	}
	return m, nil
}

// ambiguity returns why a message is not clearly a request, a notification or an
// answer, empty if it is.
func (m *Message) ambiguity() string {
	answers := m.Result != nil || m.Error != nil
	switch {
	case m.Method != "" && answers:
		return "the message is both a request and an answer; send one of the two"
	case m.Method == "" && !answers:
		return "the message has neither a method nor a result"
	case m.Method != "" && string(m.ID) == "null" && !strings.HasPrefix(m.Method, "notifications/"):
		// Some clients write the missing id of a notification as null. A request
		// with it would never be answered.
		return "the id of a request must not be null"
	}
	return ""
}

func (m *Message) readParams() *BadMessage {
	params, err := readObject(m.Params, paramNames)
	if err != nil {
		return err
	}
	if err := checkInputResponses(params["inputResponses"]); err != nil {
		return err
	}
	_ = json.Unmarshal(params["name"], &m.Name) // what is no text is no name
	m.params = params
	if meta := params["_meta"]; len(meta) > 0 && meta[0] == '{' {
		if m.Meta, err = readObject(meta, nil); err != nil {
			return err
		}
		_ = json.Unmarshal(m.Meta[mcp.MetaKeyProtocolVersion], &m.Version) // what is no text is no version
	}
	m.dropUnused(params)
	return nil
}

func isEmptyArray(text json.RawMessage) bool {
	var values []json.RawMessage
	return text[0] == '[' && json.Unmarshal(text, &values) == nil && len(values) == 0
}

// answerNames are the members of a user's answer to a question.
var answerNames = []string{"action", "content"}

// checkInputResponses refuses answers that one reader takes for a yes and another
// for a no.
func checkInputResponses(responses json.RawMessage) *BadMessage {
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

// readObject returns the members of a JSON object as they are written in text. A
// name that differs from one of names in its case alone is an error.
func readObject(text []byte, names []string) (map[string]json.RawMessage, *BadMessage) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(text)) // a buffer is not copied
	if start, err := decoder.ReadToken(); err != nil {
		return nil, notAnObject(err)
	} else if start.Kind() != '{' {
		if !jsontext.Value(text).IsValid() {
			return nil, notAnObject(nil)
		}
		return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: "the message is not a JSON-RPC object; batches are not supported"}
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
				return nil, &BadMessage{Code: mcp.INVALID_REQUEST, Text: `write "` + names[i] + `" exactly like this`}
			}
		}
		end := int(decoder.InputOffset())
		members[name] = text[end-len(value) : end : end]
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, notAnObject(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &BadMessage{Code: mcp.PARSE_ERROR, Text: "something follows the message; send one message at a time"}
	}
	return members, nil
}

func notAnObject(err error) *BadMessage {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return &BadMessage{Code: mcp.INVALID_REQUEST, Text: "a name appears twice in one object; send it once"}
	}
	return &BadMessage{Code: mcp.PARSE_ERROR, Text: "the message is not valid JSON"}
}

// tooCostly returns why reading text as JSON would take many times its size in
// memory, empty if it would not. It does not check that text is JSON.
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
