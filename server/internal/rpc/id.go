package rpc

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxIDLength bounds the id found in a message that cannot be read, in bytes.
// Clients send a few.
const maxIDLength = 1 << 10

// idFinder finds the id of a request in text that is not a message because it is
// cut off, too long or not valid JSON. Otherwise the client would wait for an
// answer for ever. Text is written to it in parts, and only the id is kept.
//
// It understands only as much of JSON as it takes to separate the members of the
// outermost object.
type idFinder struct {
	depth    int
	inString bool
	escaped  bool
	// name is the last string of the outermost object before a colon.
	name []byte
	// value is the value of a member that may be the id.
	value []byte
	// of is the part of the outermost object that the scanner is in.
	of part
	// id is what was found, and ids is how many ids there are.
	id  []byte
	ids int
	// answer is set if the text is the answer to a question of the server. Its id
	// is the server's own.
	answer bool
	// over is set when the outermost object has ended, or if there is none.
	over bool
}

// part is a part of the outermost object.
type part int

const (
	beforeName part = iota
	inName
	beforeValue
	inID
	inOther
)

// findID returns the id of the request in text, nil if it cannot be found.
func findID(text []byte) json.RawMessage {
	var f idFinder
	f.write(text)
	return f.found()
}

// found returns the id of the request written so far, nil if it cannot be found.
func (f *idFinder) found() json.RawMessage {
	if f.of == inID && len(f.value) > 1 && f.value[0] == '"' && !f.inString {
		f.endMember() // the text ends behind a whole id
	}
	id := bytes.TrimSpace(f.id)
	if f.of == inID || f.ids != 1 || f.answer || len(id) == 0 || len(id) > maxIDLength || !utf8.Valid(id) || !json.Valid(id) {
		return nil
	}
	if kind := jsontext.Value(id).Kind(); kind != '"' && kind != '0' {
		return nil
	}
	return id
}

func (f *idFinder) write(text []byte) {
	for _, c := range text {
		if !f.over {
			f.next(c)
		}
	}
}

func (f *idFinder) next(c byte) {
	switch {
	case f.inString:
		f.keep(c)
		switch {
		case f.escaped:
			f.escaped = false
		case c == '\\':
			f.escaped = true
		case c == '"':
			f.inString = false
			if f.depth == 1 && f.of == inName {
				f.of = beforeValue
			}
		}
	case f.depth == 0 && c != '{':
		f.over = c > ' '
	case c == '"':
		f.inString = true
		if f.depth == 1 && f.of == beforeName {
			f.of, f.name = inName, f.name[:0]
		}
		f.beginValue()
		f.keep(c)
	case c == '{' || c == '[':
		f.beginValue()
		f.keep(c)
		f.depth++
	case c == '}' || c == ']':
		if f.depth--; f.depth == 0 {
			f.endMember()
			f.over = true
			return
		}
		f.keep(c)
	case c == ',' && f.depth == 1:
		f.endMember()
	case c == ':' && f.depth == 1 && f.of != inID:
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		if f.depth == 1 && f.of == inID {
			f.keep(c) // "1 2" is no id, and not 12
		}
	default:
		f.beginValue()
		f.keep(c)
	}
}

// beginValue notes that the value of a member begins, if one is due.
func (f *idFinder) beginValue() {
	if f.depth != 1 || f.of != beforeValue {
		return
	}
	f.of = inOther
	var name string
	if json.Unmarshal(f.name, &name) != nil {
		return
	}
	switch name {
	case "id":
		f.of, f.value = inID, f.value[:0]
	case "result", "error":
		f.answer = true
	}
}

// keep adds a byte to the name or to the id that the scanner is in.
func (f *idFinder) keep(c byte) {
	switch {
	case f.of == inName && len(f.name) <= maxIDLength:
		f.name = append(f.name, c)
	case f.of == inID && len(f.value) <= maxIDLength:
		f.value = append(f.value, c)
	}
}

func (f *idFinder) endMember() {
	if f.of == inID {
		f.id, f.value = f.value, nil
		f.ids++
	}
	f.of = beforeName
}
