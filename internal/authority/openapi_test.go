package authority

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/kenbun/kenbun-mcp/internal/authority/api"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

var described = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Description)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// describedTransport holds whatever passes through it against the description:
// what was accepted must be a request that it allows, and each answer one that
// it tells of, down to the headers.
type describedTransport struct {
	t     *testing.T
	table exchange.Table
	next  http.RoundTripper
}

func (d *describedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(sent))
	response, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	received, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		return nil, fmt.Errorf("read the answer: %w, %w", err, closing)
	}
	response.Body = io.NopCloser(bytes.NewReader(received))
	if err := d.check(r, sent, response, received); err != nil {
		d.t.Errorf("%s %.80s answered by %d is not as described: %s", r.Method, r.URL.Opaque, response.StatusCode, shownValue.ReplaceAllString(err.Error(), "$1…"))
	}
	return response, nil
}

func (d *describedTransport) check(r *http.Request, sent []byte, response *http.Response, received []byte) error {
	doc, err := described()
	if err != nil {
		return err
	}
	request := r.Clone(r.Context())
	target, unreadable := url.ParseRequestURI(r.URL.Opaque)
	if unreadable != nil {
		return nil //nolint:nilerr // net/http itself refuses it, in its own words
	}
	request.URL = target
	if strings.HasPrefix(target.Path, "/web") {
		return nil // pages, which are for people
	}
	request.Body = io.NopCloser(bytes.NewReader(sent))
	rt, matched := d.table.Match(request)
	fault := response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusGatewayTimeout
	if matched != nil || fault {
		return visitError(doc, r.Method, received)
	}
	item := doc.Paths.Find(rt.Pattern)
	if item == nil {
		return fmt.Errorf("%s is not described", rt.Pattern)
	}
	operation := item.GetOperation(rt.Method)
	if operation == nil {
		return fmt.Errorf("%s is not described for %s", rt.Method, rt.Pattern)
	}
	input := &openapi3filter.RequestValidationInput{
		Request:    request,
		PathParams: map[string]string{"id": request.PathValue("id")},
		Route:      &routers.Route{Spec: doc, Path: rt.Pattern, PathItem: item, Method: rt.Method, Operation: operation},
		Options:    &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if response.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			return fmt.Errorf("it was accepted: %w", err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: response.StatusCode, Header: response.Header, Options: input.Options}
	if err := openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(received)); err != nil {
		return err
	}
	return checkHeaders(operation.Responses.Status(response.StatusCode).Value, response)
}

// visitError holds the answer to what is not described, or was asked for as a
// fault, against the form of errors.
func visitError(doc *openapi3.T, method string, received []byte) error {
	if method == http.MethodHead {
		return nil
	}
	var body any
	if err := json.Unmarshal(received, &body); err != nil {
		return err
	}
	return doc.Components.Schemas["Error"].Value.VisitJSON(body, openapi3.EnableJSONSchema2020())
}

// checkHeaders refuses headers that the description does not tell of, but for
// those of HTTP itself.
func checkHeaders(described *openapi3.Response, response *http.Response) error {
	if described.Content == nil && response.Header.Get("Content-Type") != "" {
		return fmt.Errorf("there should be no content")
	}
	for name := range response.Header {
		if slices.Contains([]string{"Content-Type", "Content-Length", "Date", "Connection"}, name) {
			continue
		}
		known := slices.ContainsFunc(slices.Collect(maps.Keys(described.Headers)), func(known string) bool { return strings.EqualFold(known, name) })
		if !known {
			return fmt.Errorf("the header %s is not described", name)
		}
	}
	return nil
}

func TestOpenAPI_DescribesEveryRoute(t *testing.T) {
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, Config{})
	inCode := map[string]bool{}
	for _, rt := range f.api.Routes() {
		inCode[rt.Method+" "+rt.Pattern] = true
		item := doc.Paths.Find(rt.Pattern)
		if item == nil || item.GetOperation(rt.Method) == nil {
			t.Errorf("%s %s is not described", rt.Method, rt.Pattern)
			continue
		}
		operation := item.GetOperation(rt.Method)
		var scopes []string
		if rt.Needs != "" {
			scopes = []string{string(rt.Needs)}
		}
		want := openapi3.SecurityRequirements{{"bearer": scopes}, {"apiKey": scopes}}
		if rt.Open {
			want = openapi3.SecurityRequirements{}
		}
		if got := operation.Security; got == nil || fmt.Sprint(*got) != fmt.Sprint(want) {
			t.Errorf("%s %s: described with the security %v, has %v", rt.Method, rt.Pattern, got, want)
		}
		statuses := []int{429, 500, 503}
		if !rt.Open {
			statuses = append(statuses, 400, 401)
		}
		for _, status := range statuses {
			if operation.Responses.Status(status) == nil {
				t.Errorf("%s %s: %d is not described", rt.Method, rt.Pattern, status)
			}
		}
		if !rt.Open {
			if (operation.Responses.Status(http.StatusForbidden) != nil) != (rt.Needs != "") {
				t.Errorf("%s %s: 403 is described: %t", rt.Method, rt.Pattern, rt.Needs == "")
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !inCode[method+" "+path] {
				t.Errorf("%s %s is described and not there", method, path)
			}
		}
	}
}

func TestOpenAPI_NamesWhatTheCodeKnows(t *testing.T) {
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, role := range domain.Roles() {
		roles = append(roles, string(role))
	}
	for name, want := range map[string][]string{"Permission": domain.Permissions(), "Role": roles} {
		if got := fmt.Sprint(doc.Components.Schemas[name].Value.Enum); got != fmt.Sprint(want) {
			t.Errorf("%s: described %s, known %v", name, got, want)
		}
	}
}

func TestOpenAPI_IsServedToAnybody(t *testing.T) {
	f := newFixture(t, Config{})
	got := f.send("GET", "/openapi.json", "")
	wantStatus(t, got, http.StatusOK)
	if got.body != string(api.Description) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d bytes of %s", len(got.body), got.header.Get("Content-Type"))
	}
	if version := decode[map[string]any](t, got)["openapi"]; version != "3.1.0" {
		t.Errorf("OpenAPI %v", version)
	}
}
