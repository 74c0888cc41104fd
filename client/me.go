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

// Me is the user on whose behalf calls are made. The names are as the API sent
// them: text from outside.
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
	// Permissions are what counts for the PAT now: those of the user's role that
	// the PAT is not narrowed away from. Nil where the API does not tell.
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

// GrantablePermissions returns what the caller may give a token, as far as the
// API tells it (GET /me, an extension): the permissions that count for the PAT
// now. Nil means that it does not tell, or that tokens are managed with a session
// ([Credential.Session]), which may grant other ones.
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

// foreign tells whether an answer of no good status is somebody else's, and
// whose; "" if it is the kenbun API's own. The API's own are JSON of a shape that
// parseErrorBody knows, or a documented status without a body. Everything else
// comes from something in between: web pages, plain text, other JSON, other
// challenges than Bearer, redirects.
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

// isDocumentedWithoutBody lists the statuses of errors that the kenbun API
// documents, and those that mean the same whoever sends them.
func isDocumentedWithoutBody(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusInternalServerError,
		http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// isOwnSuccess reports whether a good answer to a DELETE is one that the API can
// give: without a body, or JSON.
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
