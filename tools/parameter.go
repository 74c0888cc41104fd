package tools

import (
	"encoding/json"
	"fmt"
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
	type property struct {
		Type                 Kind              `json:"type"`
		Enum                 []string          `json:"enum,omitempty"`
		MaxLength            int               `json:"maxLength,omitempty"`
		Items                map[string]string `json:"items,omitempty"`
		AdditionalProperties map[string]string `json:"additionalProperties,omitempty"`
		Minimum              *int              `json:"minimum,omitempty"`
		Maximum              *int              `json:"maximum,omitempty"`
		Default              any               `json:"default,omitempty"`
		Description          string            `json:"description"`
	}
	aText := map[string]string{"type": string(Text)}
	var properties, required []string
	for _, p := range parameters {
		schema := property{Type: p.Kind, Enum: p.Choices, Default: p.Default, Description: p.Description}
		switch p.Kind {
		case Text:
			schema.MaxLength = p.MaxLength
		case List:
			schema.Items = aText
		case TextMap:
			schema.AdditionalProperties = aText
		case Integer:
			schema.Minimum, schema.Maximum = &p.Min, &p.Max
		}
		properties = append(properties, fmt.Sprintf("%s:%s", MustMarshal(p.Name), MustMarshal(schema)))
		if p.Required {
			required = append(required, p.Name)
		}
	}
	rest := struct {
		Required             []string `json:"required,omitempty"`
		AdditionalProperties bool     `json:"additionalProperties"`
	}{Required: required}
	return json.RawMessage(fmt.Sprintf(`{"type":"object","properties":{%s},%s`, strings.Join(properties, ","), MustMarshal(rest)[1:]))
}
