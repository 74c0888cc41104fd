package client

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/kenbun/kenbun-mcp/internal/intermediary"
)

const (
	opMe   = "read the signed-in user"
	mePath = "/me"
)

// Me is the user on whose behalf calls are made. Names are text from outside, unchanged.
type Me struct {
	OrgMemberID string `json:"org_member_id"`
	FirstName   string `json:"first_name"`
	LastName    string `json:"last_name"`
	Email       string `json:"email"`
	Role        string `json:"role"`
	Verified    bool   `json:"verified"`

	// What some installations add; empty elsewhere.
	UserID  string `json:"user_id,omitempty"`
	OrgID   string `json:"org_id,omitempty"`
	OrgName string `json:"org_name,omitempty"`
	// Permissions are those of the user's role that the PAT is not narrowed away from. Nil
	// if the API does not say.
	Permissions []string `json:"permissions,omitempty"`
}

// Me returns the user whom the PAT belongs to (GET /me).
//
// kenbun documents this call for signed-in sessions. An API may refuse it to a
// PAT with 401 or 403 although the PAT is good for other calls, so
// [ErrUnauthenticated] from here does not prove that a PAT is bad; ListTokens
// does.
func (u *Caller) Me(ctx context.Context) (*Me, error) {
	var me *Me
	cl, err := u.client.get(ctx, opMe, mePath, u.cred.PAT, &me)
	if err != nil {
		return nil, err
	}
	if me == nil || me.OrgMemberID == "" && me.UserID == "" && me.Email == "" {
		return nil, unexpected(cl, cl.answer, "the answer names no user", nil)
	}
	return me, nil
}

// GrantablePermissions returns what the caller may grant a token (GET /me, an extension):
// the PAT's current permissions. Nil means that the API does not say, or that tokens are
// managed with a session ([Credential.Session]), which may grant others.
func (u *Caller) GrantablePermissions(ctx context.Context) ([]string, error) {
	if !u.cred.Session.IsZero() {
		return nil, nil
	}
	me, err := u.Me(ctx)
	if err != nil {
		return nil, err
	}
	return me.Permissions, nil
}

// foreign returns whose answer an error is, "" for the kenbun API's own: JSON of a shape
// that parseErrorBody knows, or a documented status without a body. All others come from
// something in between: web pages, plain text, other JSON, challenges other than Bearer,
// redirects.
func foreign(a *answer, said errorBody) Cause {
	switch {
	case a.status >= 300 && a.status <= 399:
		return CauseRedirect
	case a.status == http.StatusProxyAuthRequired:
		return CauseProxyLogin
	case isOwn(a, said):
		return ""
	case a.status >= 500 && a.status != http.StatusNetworkAuthenticationRequired:
		return CauseGateway
	}
	return CauseIntermediary
}

func isOwn(a *answer, said errorBody) bool {
	if intermediary.Signed(a.status, a.header) {
		return false
	}
	switch string(bytes.Join(bytes.Fields(a.body), nil)) {
	case "", "{}", "[]", "null", `""`:
		return isDocumentedWithoutBody(a.status) || len(a.header.Values("Www-Authenticate")) > 0
	}
	return said.isJSON
}

// isDocumentedWithoutBody reports whether the kenbun API documents an error of this status,
// or it means the same from any sender.
func isDocumentedWithoutBody(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusInternalServerError,
		http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// isOwnSuccess reports whether a good answer to a DELETE can be the API's: without a body,
// or JSON.
func isOwnSuccess(a *answer) bool {
	if a.status < 200 || a.status > 299 || intermediary.IsPage(a.header) {
		return false
	}
	return len(bytes.TrimSpace(a.body)) == 0 || isJSON(a.header.Get("Content-Type"))
}

// selfDescription is what something in between says about itself.
func selfDescription(a *answer, said errorBody) string {
	return intermediary.Describe(a.header, a.body, said.message)
}

const (
	opReachable = "reach the API"
	// maxProbeBytes is read of an unused answer, so that its connection can be reused.
	maxProbeBytes = 16 << 10
)

// Reachable makes one request without a token, and returns nil if the API may have answered
// it: any status below 500 will do. It proves nothing about a token. Errors are *Error:
// [ErrUnavailable] if there was no answer, or a failure, and [ErrUnexpectedAnswer] if it
// came from something else, such as the sign-in page of a network. Limit it by its context;
// the timeout of one try holds as well.
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
		Timeout:       c.timeout,
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
