package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Arguments are the checked arguments of a call, with defaults filled in: a string for
// Text, an int for Integer, a bool for Boolean, a []string for List, a
// map[string]string for TextMap. Absent optional arguments are not included.
type Arguments map[string]any

// Text returns the text of name, "" if there is no such argument.
func (a Arguments) Text(name string) string {
	s, _ := a[name].(string)
	return s
}

// Integer returns the value of name and whether there is one.
func (a Arguments) Integer(name string) (int, bool) {
	n, ok := a[name].(int)
	return n, ok
}

// Given reports whether the call has the argument name.
func (a Arguments) Given(name string) bool { _, ok := a[name]; return ok }

// Is reports whether the boolean name is true. One that is left out is false.
func (a Arguments) Is(name string) bool {
	is, _ := a[name].(bool)
	return is
}

// Texts returns the texts of name by their names, nil if there is no such argument.
func (a Arguments) Texts(name string) map[string]string {
	texts, _ := a[name].(map[string]string)
	return texts
}

// List returns the items of name, nil where there is no such argument.
func (a Arguments) List(name string) []string {
	items, _ := a[name].([]string)
	return items
}

// parseArguments checks raw against the tool's parameters as strictly as the schema
// says. encoding/json alone would accept a name in another case, a repeated name and
// unknown names. Each error says what is allowed instead.
func (t *Tool) parseArguments(raw json.RawMessage) (Arguments, error) {
	values := Arguments{}
	for _, p := range t.Parameters {
		if p.Default != nil {
			values[p.Name] = p.Default
		}
	}
	given, err := decodeObject(raw)
	if err != nil {
		return nil, InvalidArgument("the arguments are not a JSON object that can be read: %s", err).
			Advise("Send an object with %s.", t.parameterNames())
	}
	for _, member := range given {
		p := t.parameter(member.name)
		if p == nil {
			return nil, t.unknownArgument(member.name)
		}
		if p.absent(member.value) {
			continue
		}
		value, err := p.decode(member.value)
		if err != nil {
			return nil, err
		}
		values[p.Name] = value
	}
	for _, p := range t.Parameters {
		if _, ok := values[p.Name]; p.Required && !ok {
			return nil, p.wrong("%q is missing", p.Name)
		}
	}
	return values, nil
}

func (t *Tool) parameter(name string) *Parameter {
	for i := range t.Parameters {
		if t.Parameters[i].Name == name {
			return &t.Parameters[i]
		}
	}
	return nil
}

func (t *Tool) unknownArgument(name string) error {
	name = Shown(name, 40)
	for _, p := range t.Parameters {
		if strings.EqualFold(p.Name, name) {
			return InvalidArgument("there is no argument %q", name).
				Advise("Names are in lower case: use %q.", p.Name)
		}
	}
	return InvalidArgument("%s has no argument %q", t.Name, name).
		Advise("It takes %s.", t.parameterNames())
}

func (t *Tool) parameterNames() string {
	if len(t.Parameters) == 0 {
		return "no arguments"
	}
	names := make([]string, len(t.Parameters))
	for i, p := range t.Parameters {
		names[i] = fmt.Sprintf("%q", p.Name)
	}
	return strings.Join(names, ", ")
}

// absent reports whether raw means that an optional argument was left out. Some
// clients send every argument of the schema, with null or "" for those that the model
// left out. An empty list is not absent: permissions of [] must not mean all.
func (p *Parameter) absent(raw json.RawMessage) bool {
	if p.Required {
		return false
	}
	return string(raw) == "null" || p.Kind != List && p.Kind != TextMap && isBlankText(raw, p.Kind != Text)
}

// isBlankText reports whether raw is an empty text, or only blanks if trim is set.
func isBlankText(raw json.RawMessage, trim bool) bool {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return false
	}
	return s == "" || trim && strings.TrimSpace(s) == ""
}

// wrong is the error for a value that the description of p explains best.
func (p *Parameter) wrong(format string, args ...any) *Error {
	return InvalidArgument(format, args...).Advise("Give %q: %s", p.Name, p.Description)
}

func (p *Parameter) decode(raw json.RawMessage) (any, error) {
	switch p.Kind {
	case Integer:
		return p.decodeInteger(raw)
	case Boolean:
		return p.decodeBoolean(raw)
	case List:
		return p.decodeList(raw)
	case TextMap:
		return p.decodeTextMap(raw)
	default:
		return p.decodeText(raw)
	}
}

// decodeBoolean accepts true and false. For an optional argument it accepts them in
// quotes as well, since some models quote every value.
func (p *Parameter) decodeBoolean(raw json.RawMessage) (any, error) {
	word := string(raw)
	if raw[0] == '"' && !p.Required {
		_ = json.Unmarshal(raw, &word) // the text is valid JSON
		word = strings.ToLower(strings.TrimSpace(word))
	}
	switch word {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, InvalidArgument("%q cannot be %s", p.Name, Shown(string(raw), 40)).
		Advise("Give true or false, without quotes.")
}

func (p *Parameter) decodeTextMap(raw json.RawMessage) (any, error) {
	if raw[0] != '{' {
		return nil, p.wrong("%q must be an object, not %s", p.Name, jsonKind(raw))
	}
	members, err := decodeObject(raw)
	if err != nil {
		return nil, p.wrong("%q cannot be read: %s", p.Name, err)
	}
	if err := p.checkCount(len(members)); err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(members))
	for _, m := range members {
		var text string
		if m.value[0] != '"' || json.Unmarshal(m.value, &text) != nil {
			return nil, p.wrong("%q of %q must be text in quotes, not %s", Shown(m.name, 40), p.Name, jsonKind(m.value))
		}
		if n := max(utf8.RuneCountInString(m.name), utf8.RuneCountInString(text)); p.MaxLength > 0 && n > p.MaxLength || m.name == "" {
			return nil, InvalidArgument("an entry of %q has %d characters", p.Name, n).
				Advise("Use 1 to %d in a name, and at most %d in a text.", p.MaxLength, p.MaxLength)
		}
		texts[m.name] = text
	}
	return texts, nil
}

func (p *Parameter) checkCount(n int) error {
	if n > 0 && n <= p.MaxItems {
		return nil
	}
	return InvalidArgument("%q has %d entries", p.Name, n).Advise("Give 1 to %d, or leave it out.", p.MaxItems)
}

func (p *Parameter) decodeList(raw json.RawMessage) (any, error) {
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		return nil, p.wrong("%q must be a list of texts, not %s", p.Name, jsonKind(raw))
	}
	if err := p.checkCount(len(items)); err != nil {
		return nil, err
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' || json.Unmarshal(item, &texts[i]) != nil {
			return nil, p.wrong("%q must hold texts in quotes, not %s", p.Name, jsonKind(item))
		}
		if n := utf8.RuneCountInString(texts[i]); p.MaxLength > 0 && n > p.MaxLength {
			return nil, InvalidArgument("an entry of %q has %d characters", p.Name, n).
				Advise("Use at most %d.", p.MaxLength)
		}
	}
	return texts, nil
}

func (p *Parameter) decodeText(raw json.RawMessage) (any, error) {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return nil, p.wrong("%q must be text in quotes, not %s", p.Name, jsonKind(raw))
	}
	if len(p.Choices) > 0 {
		if slices.Contains(p.Choices, s) {
			return s, nil
		}
		return nil, InvalidArgument("%q cannot be %q", p.Name, Shown(s, 40)).
			Advise("Use one of: %s.", strings.Join(p.Choices, ", "))
	}
	if n := utf8.RuneCountInString(s); p.MaxLength > 0 && n > p.MaxLength {
		return nil, InvalidArgument("%q has %d characters", p.Name, n).
			Advise("Use at most %d.", p.MaxLength)
	}
	return s, nil
}

// digits matches a quoted whole number.
var digits = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-?[0-9]{1,20}(\.0+)?$`) })

// decodeInteger accepts a number. For an optional argument it accepts digits in quotes
// as well, since some models quote every value.
func (p *Parameter) decodeInteger(raw json.RawMessage) (any, error) {
	refused := func(format string, args ...any) error {
		return InvalidArgument(format, args...).Advise("Give a whole number from %d to %d, without quotes.", p.Min, p.Max)
	}
	number := string(raw)
	if raw[0] == '"' && !p.Required {
		number = ""
		_ = json.Unmarshal(raw, &number) // the text is valid JSON
		if number = strings.TrimSpace(number); !digits().MatchString(number) {
			return nil, refused("%q cannot be %s", p.Name, Shown(string(raw), 40))
		}
	}
	if c := number[0]; c != '-' && (c < '0' || c > '9') {
		return nil, refused("%q must be a number, not %s", p.Name, jsonKind(raw))
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n != math.Trunc(n) || n < float64(p.Min) || n > float64(p.Max) {
		return nil, refused("%q cannot be %s", p.Name, Shown(string(raw), 40))
	}
	return int(n), nil
}

func jsonKind(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "text"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

type member struct {
	name  string
	value json.RawMessage
}

// decodeObject reads the members of one JSON object. It refuses a repeated name, since
// two readers of the same text must not see different arguments. Empty text and null
// are an object without members.
func decodeObject(raw json.RawMessage) ([]member, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0, string(raw) == "null":
		return nil, nil
	case !utf8.Valid(raw):
		return nil, fmt.Errorf("the text is not valid UTF-8")
	case !json.Valid(raw):
		return nil, fmt.Errorf("the text is not one JSON value")
	case raw[0] != '{':
		return nil, fmt.Errorf("it is %s", jsonKind(raw))
	}
	// No error can follow: the text is a valid object.
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, _ = decoder.Token()
	var members []member
	seen := map[string]bool{}
	for decoder.More() {
		token, _ := decoder.Token()
		m := member{name: token.(string)}
		_ = decoder.Decode(&m.value)
		if seen[m.name] {
			return nil, fmt.Errorf("%q stands in it twice", Shown(m.name, 40))
		}
		seen[m.name] = true
		members = append(members, m)
	}
	return members, nil
}
