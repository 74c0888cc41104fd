package tools

import (
	"encoding/json"
	"strings"
)

// A Parameter is one argument of a tool: what its schema says, what the
// documentation says and what a call is checked against are the same value.
type Parameter struct {
	Name        string
	Description string
	Kind        Kind
	// Required arguments are taken strictly. An optional one is also left out by
	// null and, unless it is a List or a TextMap, by an empty text. An optional number
	// or boolean may be in quotes. The schema does not say so, to stay without unions.
	Required bool
	// Choices, if any, are the only values of a Text.
	Choices []string
	// MaxLength bounds a Text, each item of a List, and each name and text of a
	// TextMap, in characters (code points). Zero: no bound.
	MaxLength int
	// MaxItems bounds a List and a TextMap.
	MaxItems int
	// Min and Max bound an Integer.
	Min, Max int
	// Default is the value of an argument that is left out. Nil: none.
	Default any
	// Extension is as in [Tool].
	Extension bool
}

// Kind is the JSON type of a Parameter.
type Kind string

// The kinds of parameter.
const (
	Text    Kind = "string"
	Integer Kind = "integer"
	Boolean Kind = "boolean"
	// List is a list of texts, which is never empty.
	List Kind = "array"
	// TextMap is texts by name. It is never empty.
	TextMap Kind = "object"
)

// inputSchema renders parameters as a JSON Schema without unions, references or
// combinators, which some clients cannot read.
func inputSchema(parameters []Parameter) json.RawMessage {
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{`)
	var required []string
	for i, p := range parameters {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(MustMarshal(p.Name))
		b.WriteString(`:{"type":`)
		b.Write(MustMarshal(string(p.Kind)))
		if len(p.Choices) > 0 {
			b.WriteString(`,"enum":`)
			b.Write(MustMarshal(p.Choices))
		}
		if p.Kind == Text && p.MaxLength > 0 {
			b.WriteString(`,"maxLength":`)
			b.Write(MustMarshal(p.MaxLength))
		}
		if p.Kind == List {
			b.WriteString(`,"items":{"type":"string"}`)
		}
		if p.Kind == TextMap {
			b.WriteString(`,"additionalProperties":{"type":"string"}`)
		}
		if p.Kind == Integer {
			b.WriteString(`,"minimum":`)
			b.Write(MustMarshal(p.Min))
			b.WriteString(`,"maximum":`)
			b.Write(MustMarshal(p.Max))
		}
		if p.Default != nil {
			b.WriteString(`,"default":`)
			b.Write(MustMarshal(p.Default))
		}
		b.WriteString(`,"description":`)
		b.Write(MustMarshal(p.Description))
		b.WriteByte('}')
		if p.Required {
			required = append(required, p.Name)
		}
	}
	b.WriteByte('}')
	if len(required) > 0 {
		b.WriteString(`,"required":`)
		b.Write(MustMarshal(required))
	}
	b.WriteString(`,"additionalProperties":false}`)
	return json.RawMessage(b.String())
}
