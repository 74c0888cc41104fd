package main

import (
	"encoding/json"
	"io"
)

// printJSON writes v for a program to read: indented, and with characters such
// as < left as they are.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
