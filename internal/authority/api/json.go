package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// jsonField is a member of a JSON object: its name, and what reads its value.
type jsonField struct {
	name string
	take func(body *jsontext.Decoder) error
}

var errNotJSON = errors.New("the body is not valid JSON")

// stringField is a member whose value must be a string.
func stringField(name string, take func(string) error) jsonField {
	return jsonField{name: name, take: func(body *jsontext.Decoder) error {
		if body.PeekKind() != '"' {
			return fmt.Errorf("%s must be a string; a field without a value is left out, not sent as null", name)
		}
		value, err := body.ReadToken()
		if err != nil {
			return errNotJSON
		}
		return take(value.String())
	}}
}

// stringsField is a member whose value must be an array of strings.
func stringsField(name string, take func([]string) error) jsonField {
	return jsonField{name: name, take: func(body *jsontext.Decoder) error {
		if body.PeekKind() != '[' {
			return fmt.Errorf("%s must be an array of strings; a field without a value is left out, not sent as null", name)
		}
		values := []string{}
		_, err := body.ReadToken()
		for err == nil && body.PeekKind() == '"' {
			var value jsontext.Token
			value, err = body.ReadToken()
			values = append(values, value.String())
		}
		switch {
		case err != nil:
			return errNotJSON
		case body.PeekKind() != ']':
			return fmt.Errorf("%s must hold nothing but strings", name)
		}
		if _, err := body.ReadToken(); err != nil {
			return errNotJSON
		}
		return take(values)
	}}
}

// nullable lets a field be null too, which calls takeNull.
func nullable(field jsonField, takeNull func()) jsonField {
	take := field.take
	field.take = func(body *jsontext.Decoder) error {
		if body.PeekKind() != 'n' {
			return take(body)
		}
		takeNull()
		_, err := body.ReadToken()
		return err
	}
	return field
}

// decodeObject reads a body that is one JSON object with the given members only. It
// refuses repeated and unknown names, invalid UTF-8, and trailing data (RFC 8259,
// sections 4 and 8). Its errors say what to change.
func decodeObject(body []byte, fields ...jsonField) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not valid UTF-8")
	}
	// The syntax of the whole body is checked before any value is used.
	if err := checkSyntax(body); err != nil {
		return err
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.ReadToken(); err != nil || start.Kind() != '{' {
		return errors.New("the body must be a JSON object")
	}
	for decoder.PeekKind() != '}' {
		key, err := decoder.ReadToken()
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			// The name is a known one, so it can be shown.
			return fmt.Errorf("%s comes twice: send it once", duplicateName(err))
		case err != nil:
			return errNotJSON
		}
		field, err := findField(fields, key.String())
		if err != nil {
			return err
		}
		if err := field.take(decoder); err != nil {
			return err
		}
	}
	return nil
}

func duplicateName(err error) string {
	var syntax *jsontext.SyntacticError
	errors.As(err, &syntax)
	return syntax.JSONPointer.LastToken()
}

func checkSyntax(body []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true))
	_, err := decoder.ReadValue()
	if err == nil {
		if _, err = decoder.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%w, at byte %d", errNotJSON, min(syntax.ByteOffset+1, int64(len(body))))
	}
	return errNotJSON
}

func findField(fields []jsonField, name string) (jsonField, error) {
	names := make([]string, 0, len(fields))
	for _, field := range fields {
		if field.name == name {
			return field, nil
		}
		if strings.EqualFold(field.name, name) {
			return jsonField{}, fmt.Errorf("write the field as %q, in exactly these letters", field.name)
		}
		names = append(names, field.name)
	}
	return jsonField{}, fmt.Errorf("there is no field %s here: the fields are %s", plaintext.QuoteShort(name), strings.Join(names, ", "))
}
