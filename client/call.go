package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	maxAnswerBytes      = 1 << 20
	maxErrorAnswerBytes = 64 << 10
)

var (
	errAnswerTooLarge = errors.New("the answer is larger than 1 MiB")
	errBodyCut        = errors.New("the answer broke off")
)

// call is one request of the API with all its attempts. The retry policy and the authorizer
// find it in the context of the request.
type call struct {
	op     string
	method string
	path   string
	secret Secret
	body   []byte

	attempts int
	// lookedForConn and gotConn are about the current attempt: whether the transport reports
	// at all, and whether there was a connection to write to.
	lookedForConn, gotConn atomic.Bool
	// inDoubt: some attempt may have acted on the API without a plain answer.
	inDoubt bool

	answer *answer

	// stream, if set, reads the body of a good answer, anew at each attempt. Its error goes
	// to streamed, unless it is errBodyCut: then the retry policy decides.
	stream   func(io.Reader) error
	streamed error
}

// answer is the last answer, of any status, its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

type callKey struct{}

func callFrom(ctx context.Context) *call {
	cl, _ := ctx.Value(callKey{}).(*call)
	return cl
}

func (cl *call) beginAttempt() {
	cl.attempts++
	cl.lookedForConn.Store(false)
	cl.gotConn.Store(false)
}

// neverLeft reports whether the current attempt surely sent nothing of the request.
func (cl *call) neverLeft() bool { return cl.lookedForConn.Load() && !cl.gotConn.Load() }

// trace observes connections. net/http uses a second connection only if nothing was written
// to the first, or if the peer did not process the request (RFC 9113, section 8.7), so each
// search starts afresh.
func (cl *call) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			cl.gotConn.Store(false)
			cl.lookedForConn.Store(true)
		},
		GotConn: func(httptrace.GotConnInfo) { cl.gotConn.Store(true) },
	}
}

// send makes the call, observed. An answer of any status is not an error; errors are *Error.
func (c *Client) send(ctx context.Context, cl *call) (*answer, error) {
	ctx, end := c.begin(ctx, cl)
	a, err := c.exchange(ctx, cl)
	if err == nil && (a.status < 200 || a.status > 299) {
		end(statusError(cl, a))
	} else {
		end(err)
	}
	return a, err
}

// exchange is send for a call that is observed already.
func (c *Client) exchange(ctx context.Context, cl *call) (*answer, error) {
	if cl.secret.IsZero() {
		return nil, &Error{Op: cl.op, Code: CodeUnauthenticated, Cause: CauseNotSent, Reason: "there is no kenbun token to make this call with; give a personal access token"}
	}
	if !isHeaderText(cl.secret.Reveal()) {
		return nil, &Error{Op: cl.op, Code: CodeUnauthenticated, Cause: CauseNotSent, Reason: "the token has characters in it that no token has, such as a line break; give it again"}
	}
	if err := ctx.Err(); err != nil {
		return nil, contextError(cl, err)
	}
	callCtx := context.WithValue(ctx, callKey{}, cl)
	var body any
	if cl.method != http.MethodGet {
		callCtx = httptrace.WithClientTrace(callCtx, cl.trace())
		if cl.body != nil {
			body = cl.body
		}
	}
	req, err := retryablehttp.NewRequestWithContext(callCtx, cl.method, c.baseText+cl.path, body)
	if err != nil {
		return nil, &Error{Op: cl.op, Code: CodeInvalid, Cause: CauseNotSent, Reason: "the request could not be built", cause: err}
	}
	req.Header["Accept"] = []string{"application/json"}
	req.Header["User-Agent"] = []string{c.userAgent}
	c.addTraceContext(ctx, req.Header)
	if cl.body != nil {
		req.Header["Content-Type"] = []string{"application/json"}
	}
	req.SetResponseHandler(cl.read)

	resp, err := c.retrying.Do(req)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close() // the call has failed already
		}
		return nil, c.connectionError(ctx, cl, err)
	}
	if cl.answer == nil {
		// The last try had a status worth retrying, so the handler was passed over.
		if err := cl.read(resp); err != nil {
			return nil, c.connectionError(ctx, cl, err)
		}
	}
	return cl.answer, nil
}

// read reads the answer and closes its body. It is part of the attempt: if a good answer
// breaks off, the retry policy decides.
func (cl *call) read(resp *http.Response) (err error) {
	defer func() {
		if closeErr := resp.Body.Close(); err == nil && closeErr != nil {
			err = errors.Join(errBodyCut, closeErr)
		}
	}()
	if resp.StatusCode < 200 || resp.StatusCode > 299 || cl.method == http.MethodDelete {
		// The status is the answer; of a message, half is better than none.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorAnswerBytes))
		cl.answer = &answer{status: resp.StatusCode, header: resp.Header, body: body}
		return nil
	}
	if cl.stream != nil {
		return cl.readStream(resp)
	}
	if resp.ContentLength > maxAnswerBytes {
		return errAnswerTooLarge
	}
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		buf.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(resp.Body, maxAnswerBytes+1)); err != nil {
		return errors.Join(errBodyCut, err)
	}
	if buf.Len() > maxAnswerBytes {
		return errAnswerTooLarge
	}
	cl.answer = &answer{status: resp.StatusCode, header: resp.Header, body: buf.Bytes()}
	return nil
}

// readStream hands the body over as it comes in.
func (cl *call) readStream(resp *http.Response) error {
	body := bufio.NewReaderSize(resp.Body, 16) // only to look at the first byte
	_, err := body.Peek(1)
	switch {
	case errors.Is(err, io.EOF):
		cl.streamed = &listError{reason: emptyAnswer}
	case err != nil:
		return errors.Join(errBodyCut, err)
	case !isJSON(resp.Header.Get("Content-Type")):
		// A page of something in between, of which the beginning is enough.
		page, err := io.ReadAll(io.LimitReader(body, maxErrorAnswerBytes))
		if err != nil {
			return errors.Join(errBodyCut, err)
		}
		cl.answer = &answer{status: resp.StatusCode, header: resp.Header, body: page}
		return nil
	default:
		cl.streamed = cl.stream(body)
	}
	if errors.Is(cl.streamed, errBodyCut) {
		return cl.streamed
	}
	cl.answer = &answer{status: resp.StatusCode, header: resp.Header}
	return nil
}
