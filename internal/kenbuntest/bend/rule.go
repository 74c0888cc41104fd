package bend

import (
	"net/http"
	"strings"
	"time"
)

// Rule bends the answers to some requests. Its zero value bends every answer to
// an empty 200.
type Rule struct {
	// Method is what requests the rule is for, "" for all.
	Method string
	// Path is how their paths begin, "" for all. With Exact it is the whole path.
	Path  string
	Exact bool
	// Skip leaves the first requests that fit to later rules, or to the API.
	Skip int
	// Times ends the rule after so many answers, 0 for never.
	Times int

	// Act has the API do what is asked before the bent answer goes out. Without it a
	// POST makes nothing, a PATCH changes nothing and a DELETE revokes nothing.
	Act bool
	// Delay is the pause before the answer, after Act.
	Delay time.Duration
	// Silent gives no answer at all, until the client leaves or the test ends.
	Silent bool
	// Cut closes the connection after half of the body. With Status 0 it closes the
	// connection without any answer.
	Cut bool

	// Status is that of the answer, 0 for 200.
	Status int
	// Type is its content type, "" for none.
	Type string
	// Body is sent as it is. 204 and 304 have none.
	Body string
	// Header adds fields to the answer. A name may be in it more than once.
	Header http.Header
	// Shape changes the API's own answer and has it sent with its own status, or with
	// Status if that is given. Type, Body and Header do not count then. The API acts,
	// whatever Act is. It is called with an object, for a list once for each entry.
	Shape func(object map[string]any)
}

func (r *Rule) fits(request *http.Request) bool {
	if r.Method != "" && r.Method != request.Method {
		return false
	}
	if r.Exact {
		return r.Path == request.URL.Path
	}
	return strings.HasPrefix(request.URL.Path, r.Path)
}

// HTML returns a rule that answers with a web page, as sign-in pages of networks
// and firewalls do.
func HTML(method, path string, status int, text string) Rule {
	return Rule{Method: method, Path: path, Status: status, Type: "text/html; charset=utf-8", Body: "<!doctype html><title>" + text + "</title><h1>" + text + "</h1>"}
}

// JSON returns a rule that answers with a JSON text.
func JSON(method, path string, status int, body string) Rule {
	return Rule{Method: method, Path: path, Status: status, Type: "application/json", Body: body}
}
