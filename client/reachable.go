package client

import (
	"context"
	"io"
	"net/http"

	"github.com/kenbun/kenbun-mcp/internal/intermediary"
)

const (
	opReachable = "reach the API"
	// maxProbeBytes is read of an answer that is not looked at, so that its
	// connection can be used again.
	maxProbeBytes = 16 << 10
)

// Reachable asks the API something without a token, once, and returns nil if
// whatever answered can be the API: any status below 500 will do, 401 above all.
// It is for telling whether calls have a chance, and proves nothing about a
// token. Errors are *Error: [ErrUnavailable] where nothing answered, or only a
// failure, and [ErrUnexpectedAnswer] where something else than an API did, such
// as the sign-in page of a network. Limit it by its context; the timeout of one
// try holds as well.
func (c *Client) Reachable(ctx context.Context) error {
	cl := &call{op: opReachable, method: http.MethodGet, path: mePath}
	ctx, end := c.begin(ctx, cl)
	err := c.reach(ctx, cl)
	end(err)
	return err
}

func (c *Client) reach(ctx context.Context, cl *call) error {
	request, err := http.NewRequestWithContext(ctx, cl.method, c.baseText+cl.path, http.NoBody)
	if err != nil {
		return &Error{Op: cl.op, Code: CodeInvalid, Reason: "the request could not be built", cause: err}
	}
	request.Header["Accept"] = []string{"application/json"}
	request.Header["User-Agent"] = []string{c.userAgent}
	c.addTraceContext(ctx, request.Header)
	// Around the authorizer, which sends nothing without a token.
	probe := http.Client{
		Transport:     c.transport,
		Timeout:       c.retrying.HTTPClient.Timeout,
		CheckRedirect: c.retrying.HTTPClient.CheckRedirect,
	}
	cl.attempts++
	response, err := probe.Do(request)
	if err != nil {
		return c.connectionError(ctx, cl, err)
	}
	// What the body says does not matter, nor whether it is whole.
	_, _ = io.CopyN(io.Discard, response.Body, maxProbeBytes)
	_ = response.Body.Close()
	cl.answer = &answer{status: response.StatusCode, header: response.Header}
	switch status := response.StatusCode; {
	case status >= 500, status >= 300 && status < 400, status == http.StatusProxyAuthRequired:
		return statusError(cl, cl.answer)
	case status < 500 && intermediary.IsPage(response.Header):
		e := unexpected(cl, cl.answer, "a web page answers in place of the API", nil)
		e.Cause, e.Advice = CauseIntermediary, ""
		return e.advise()
	}
	return nil
}
