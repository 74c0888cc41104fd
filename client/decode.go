package client

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
)

// get makes a GET call and decodes its answer into out.
func (c *Client) get(ctx context.Context, op, path string, secret Secret, out any) (*call, error) {
	cl := &call{op: op, method: http.MethodGet, path: path, secret: secret}
	ctx, end := c.begin(ctx, cl)
	err := c.fetch(ctx, cl, out)
	end(err)
	return cl, err
}

func (c *Client) fetch(ctx context.Context, cl *call, out any) error {
	a, err := c.exchange(ctx, cl)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return statusError(cl, a)
	}
	return decodeAnswer(cl, a, out)
}

// getStream makes a GET call whose answer goes to cl.stream as it comes in.
func (c *Client) getStream(ctx context.Context, cl *call) error {
	cl.method = http.MethodGet
	ctx, end := c.begin(ctx, cl)
	err := c.fetchStream(ctx, cl)
	end(err)
	return err
}

func (c *Client) fetchStream(ctx context.Context, cl *call) error {
	a, err := c.exchange(ctx, cl)
	var bad *listError
	switch {
	case err != nil:
		return err
	case a.status < 200 || a.status > 299:
		return statusError(cl, a)
	case len(a.body) > 0:
		return notTheAPI(cl, a)
	case errors.As(cl.streamed, &bad):
		return unexpected(cl, a, bad.reason, bad.cause)
	}
	return cl.streamed
}

// decodeAnswer reads a good answer into out, a pointer. Fields that out does
// not have are dropped; anything after the value is refused.
func decodeAnswer(cl *call, a *answer, out any) error {
	if len(a.body) == 0 {
		return unexpected(cl, a, emptyAnswer, nil)
	}
	if !isJSON(a.header.Get("Content-Type")) {
		return notTheAPI(cl, a)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return unexpected(cl, a, malformedAnswer, err)
	}
	return nil
}

// What is wrong with a good answer's body.
const (
	emptyAnswer     = "the answer is empty"
	malformedAnswer = "the answer is malformed, or not of the form that the API documents"
)

// isJSON reports whether contentType is application/json or ends in +json
// (RFC 6839).
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}
