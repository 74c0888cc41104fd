package authority

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonField is a member of a JSON object: its name, and what takes its value.
// take is called with a string, a json.Number, a bool, nil for null, or a
// json.Delim for an object or array, whose content it may read from tokens.
type jsonField struct {
	name string
	take func(value json.Token, tokens *json.Decoder) error
}

// stringField is a member whose value must be a string.
func stringField(name string, take func(string) error) jsonField {
	return jsonField{name: name, take: func(value json.Token, _ *json.Decoder) error {
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s must be a string; a field without a value is left out, not sent as null", name)
		}
		return take(s)
	}}
}

// stringsField is a member whose value must be an array of strings.
func stringsField(name string, take func([]string) error) jsonField {
	return jsonField{name: name, take: func(value json.Token, tokens *json.Decoder) error {
		if value != json.Delim('[') {
			return fmt.Errorf("%s must be an array of strings; a field without a value is left out, not sent as null", name)
		}
		values := []string{}
		for tokens.More() {
			value, err := tokens.Token()
			if err != nil {
				return errors.New("the body is not valid JSON")
			}
			s, ok := value.(string)
			if !ok {
				return fmt.Errorf("%s must hold nothing but strings", name)
			}
			values = append(values, s)
		}
		if _, err := tokens.Token(); err != nil {
			return errors.New("the body is not valid JSON")
		}
		return take(values)
	}}
}

// nullable lets a field be null too, which calls takeNull.
func nullable(field jsonField, takeNull func()) jsonField {
	take := field.take
	field.take = func(value json.Token, tokens *json.Decoder) error {
		if value == nil {
			takeNull()
			return nil
		}
		return take(value, tokens)
	}
	return field
}

// decodeObject reads a body that is one JSON object with no members but the
// given ones. Unlike [json.Unmarshal] it refuses what two readers might
// understand differently: a name that comes twice or in another case, unknown
// names, invalid UTF-8, and anything after the object (RFC 8259, sections 4
// and 8). Its errors tell the sender what to change.
func decodeObject(body []byte, fields ...jsonField) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not valid UTF-8")
	}
	// This checks the syntax of the whole, so that the walk below meets no
	// surprises and nothing is acted on before the end was seen.
	var raw json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("the body is not valid JSON, at byte %d", syntax.Offset)
		}
		return errors.New("the body is not valid JSON")
	}
	tokens := json.NewDecoder(bytes.NewReader(body))
	tokens.UseNumber()
	if start, err := tokens.Token(); err != nil || start != json.Delim('{') {
		return errors.New("the body must be a JSON object")
	}
	seen := make(map[string]bool, len(fields))
	for tokens.More() {
		key, err := tokens.Token()
		if err != nil {
			return errors.New("the body is not valid JSON")
		}
		name, _ := key.(string)
		field, err := findField(fields, name)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("%s comes twice: send it once", name)
		}
		seen[name] = true
		value, err := tokens.Token()
		if err != nil {
			return errors.New("the body is not valid JSON")
		}
		// A value that opens an object or array is refused by its taker, but for
		// an array of strings, so that nothing deeper is ever walked.
		if err := field.take(value, tokens); err != nil {
			return err
		}
	}
	return nil
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
	return jsonField{}, fmt.Errorf("there is no field %s here: the fields are %s", quoteShort(name), strings.Join(names, ", "))
}

// quoteShort shows a name of the sender's without letting it become a message
// of its own.
func quoteShort(name string) string {
	const limit = 40
	if runes := []rune(name); len(runes) > limit {
		name = string(runes[:limit]) + "…"
	}
	return strconv.QuoteToASCII(name)
}
