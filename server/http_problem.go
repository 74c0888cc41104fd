package server

import (
	"encoding/json"
	"net/http"
)

// problem is the body of every HTTP error that is not a JSON-RPC answer. Its
// members are those of RFC 6750 and RFC 6749, which clients of bearer tokens
// know.
type problem struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	// Reason is one of a closed set of names.
	Reason reason `json:"reason"`
	// RequestID leads to the log.
	RequestID string `json:"request_id,omitempty"`
}

// writeProblem refuses a request for the reason that code names.
func writeProblem(w http.ResponseWriter, status int, code, description string) {
	noteReason(w, reason(code), "")
	sendProblem(w, status, problem{Error: code, Description: description, Reason: reason(code)})
}

// sendProblem answers with p, whose reason has been noted.
func sendProblem(w http.ResponseWriter, status int, p problem) {
	p.RequestID = w.Header().Get("X-Request-Id")
	writeJSON(w, status, p)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the values are the program's own
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // who asked is gone if this fails
}
