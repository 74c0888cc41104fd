package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// takes says in words what the flags of a type take.
var takes = map[string]string{
	"bool":        "true or false",
	"int":         "a whole number",
	"uint64":      "a whole number from 0 on",
	"duration":    "a time such as 90s, 30m or 12h",
	"stringSlice": "values with commas between them, and no quotation mark that does not end",
}

// asTaken words the error of a value that a flag does not take, in place of
// Go's own words for it. Other errors stay as they are.
func asTaken(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag := invalid.GetFlag()
	words, ok := takes[flag.Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s cannot be %q; it takes %s", flag.Name, invalid.GetValue(), words)
}
