package authority

import (
	_ "embed"
	"net/http"
)

// description is the interface in OpenAPI 3.1. Tests hold every request and
// answer of theirs against it.
//
//go:embed openapi.json
var description []byte

func (a *Authority) serveDescription(w http.ResponseWriter, _ *http.Request, _ identity) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(description)
	return err
}
