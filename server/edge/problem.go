package edge

import (
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// Reason names why a request was refused, in its answer and in its log line. It
// comes from a closed set. Where nothing finer is known, it is the code of the
// answer.
type Reason string

// NotReady is the reason for an answer of the readiness probe.
const NotReady Reason = "not_ready"

// Problem is the body of every HTTP error that is not a JSON-RPC answer. Its
// members are those of RFC 6750 and RFC 6749, which clients of bearer tokens know.
type Problem struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Reason      Reason `json:"reason"`
	// RequestID is the number of the request in the log.
	RequestID string `json:"request_id,omitempty"`
}

// WriteProblem refuses a request, with code as the reason.
func WriteProblem(w http.ResponseWriter, status int, code, description string) {
	SendProblem(w, status, Problem{Error: code, Description: description, Reason: Reason(code)}, "")
}

// SendProblem refuses a request. cause goes to the log alone; it names why another
// service could not be reached, where that is the reason.
func SendProblem(w http.ResponseWriter, status int, p Problem, cause string) {
	NoteReason(w, p.Reason, cause)
	p.RequestID = w.Header().Get(requestIDHeader)
	WriteJSON(w, status, p)
}

// NoteReason adds to the request's log line why it was refused.
func NoteReason(w http.ResponseWriter, why Reason, cause string) {
	for writer := range writers(w) {
		if recorder, ok := writer.(*statusRecorder); ok {
			recorder.reason, recorder.cause = why, cause
		}
	}
}

// writers yields w and what it wraps, the outermost first.
func writers(w http.ResponseWriter) iter.Seq[http.ResponseWriter] {
	return func(yield func(http.ResponseWriter) bool) {
		for w != nil && yield(w) {
			wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok {
				return
			}
			w = wrapper.Unwrap()
		}
	}
}

// WriteJSON answers with v, which is the program's own, as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_ = WriteDocument(w, status, data) // it fails only if the client is gone
}

// WriteDocument answers with data, which is JSON.
func WriteDocument(w http.ResponseWriter, status int, data []byte) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(append(data, '\n'))
	return err
}

// PlainPath returns the path of an address without doubled slashes at its
// beginning and without slashes at its end, because addresses are put together in
// many ways. A path with an encoded slash stays as it is.
func PlainPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.Path
	}
	return "/" + strings.Trim(u.Path, "/")
}

// IsRead reports whether the method of r is GET or HEAD.
func IsRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }
