package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// statusError turns an answer that is no success into an error.
func statusError(cl *call, a *answer) *Error {
	e := &Error{Op: cl.op, Status: a.status, Attempts: cl.attempts}
	e.RetryAfter, _ = retryAfter(a.status, a.header)
	said := parseErrorBody(a.header.Get("Content-Type"), a.body)
	if e.RequestID = identifier(said.requestID, cl.secret); e.RequestID == "" {
		e.RequestID = requestID(cl, a)
	}
	if e.Cause = foreign(a, said); e.Cause != "" {
		e.Code, e.Reason = foreignMeaning(a.status, e.Cause)
		e.Message = cleanMessage(selfDescription(a, said), cl.secret)
		return e.advise()
	}
	e.Cause = CauseAPI
	e.Message = cleanMessage(said.message, cl.secret)
	e.APICode = identifier(said.code, cl.secret)
	e.Code, e.Reason, e.Advice = verdict(cl, a.status, e.APICode, e.Message)
	return e
}

// unexpected is an answer of good status that cannot be what was asked for.
func unexpected(cl *call, a *answer, reason string, cause error) *Error {
	e := &Error{
		Op: cl.op, Code: CodeUnexpectedAnswer, Cause: CauseForm, Status: a.status, Attempts: cl.attempts,
		Reason: reason, RequestID: requestID(cl, a), cause: withoutTokens(cause, cl.secret),
	}
	return e.advise()
}

// different is an answer of the API's that is not what was asked for.
func different(cl *call, a *answer, reason string) *Error {
	e := unexpected(cl, a, reason, nil)
	e.Cause, e.Advice = CauseMismatch, ""
	return e
}

// notTheAPI is an answer of good status from something in between.
func notTheAPI(cl *call, a *answer) *Error {
	e := unexpected(cl, a, "something between here and the API answered in its place: the answer is not JSON", nil)
	e.Cause, e.Advice = CauseIntermediary, ""
	e.Message = cleanMessage(selfDescription(a, errorBody{}), cl.secret)
	return e.advise()
}

func requestID(cl *call, a *answer) string {
	return identifier(a.header.Get("X-Request-Id"), cl.secret)
}

// foreignMeaning says what the status of an answer that is not the API's means.
func foreignMeaning(status int, cause Cause) (Code, string) {
	switch {
	case cause == CauseRedirect:
		return CodeUnexpectedAnswer, "the API address answers with a redirect, which is never followed"
	case cause == CauseProxyLogin:
		return CodeUnavailable, "a proxy on the way to the API wants a login"
	case cause == CauseGateway:
		return CodeUnavailable, "the API has a failure of its own, or something in front of it cannot reach it"
	case status == http.StatusTooManyRequests:
		return CodeRateLimited, "something between here and the API lets no more requests through for now"
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return CodeUnavailable, "something between here and the API did not pass the request on in time"
	}
	return CodeUnexpectedAnswer, fmt.Sprintf("something between here and the API refused the request (status %d)", status)
}

// errorBody is what the body of an error says.
type errorBody struct {
	message, code, requestID string
	// isJSON means that it is JSON of a shape that is known.
	isJSON bool
}

// parseErrorBody reads an object with "message", "detail", "title", "error" or "errors",
// nested or not, which covers problem details (RFC 9457), or plain text. kenbun's API
// documentation shows no error body.
func parseErrorBody(contentType string, body []byte) errorBody {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return errorBody{}
	}
	if isJSON(contentType) || body[0] == '{' || body[0] == '[' || body[0] == '"' {
		var value any
		if json.Unmarshal(body, &value) != nil {
			return errorBody{}
		}
		said := readError(value, 0)
		said.isJSON = said.message != "" || said.code != ""
		return said
	}
	if strings.HasPrefix(strings.ToLower(contentType), "text/plain") && body[0] != '<' {
		return errorBody{message: string(body)}
	}
	return errorBody{}
}

// readError looks through value for what it says, down to a sane depth.
func readError(value any, depth int) errorBody {
	if depth > 4 {
		return errorBody{}
	}
	switch v := value.(type) {
	case string:
		return errorBody{message: v}
	case []any:
		return readErrors(v, depth)
	case map[string]any:
		said := errorBody{
			message:   firstString(v, "message", "detail", "error_description", "title", "msg"),
			code:      firstString(v, "code", "error_code"),
			requestID: firstString(v, "request_id", "requestId", "trace_id"),
		}
		for _, name := range [...]string{"error", "errors"} {
			inner := readError(v[name], depth+1)
			if text, ok := v[name].(string); ok && said.message != "" {
				// {"error": "invalid_grant", "message": "..."}: the short one is the code.
				inner = errorBody{code: text}
			}
			said.message = cmp.Or(said.message, inner.message)
			said.code = cmp.Or(said.code, inner.code)
			said.requestID = cmp.Or(said.requestID, inner.requestID)
		}
		return said
	}
	return errorBody{}
}

// readErrors joins the messages of a list; the first code and id win.
func readErrors(list []any, depth int) errorBody {
	var said errorBody
	var messages []string
	for _, item := range list[:min(len(list), 5)] {
		inner := readError(item, depth+1)
		if inner.message != "" {
			messages = append(messages, inner.message)
		}
		said.code = cmp.Or(said.code, inner.code)
		said.requestID = cmp.Or(said.requestID, inner.requestID)
	}
	said.message = strings.Join(messages, "; ")
	return said
}

func firstString(object map[string]any, names ...string) string {
	for _, name := range names {
		if text, ok := object[name].(string); ok && strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

// identifier returns text if it can stand as a name in an error or a log, else "".
func identifier(text string, secret Secret) string {
	if len(text) > 64 {
		return ""
	}
	for i := range len(text) {
		if !isTokenByte(text[i]) && text[i] != '.' && text[i] != ':' {
			return ""
		}
	}
	if redactTokens(text, secret) != text {
		return ""
	}
	return text
}

const maxMessageRunes = 300

// cleanMessage makes text from the API fit for one line of an error: no invisible
// characters, white space folded, no token, at most 300 characters.
func cleanMessage(text string, secret Secret) string {
	// Enough to fill a message even if most of it goes; the rest need not be read.
	const worthReading = 16 << 10
	if len(text) > worthReading {
		end := worthReading
		for end > worthReading-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	var b strings.Builder
	space := false
	for part := range plaintext.Parts(text) {
		switch {
		case part.IsSpace():
			space = b.Len() > 0
		case part.Seen, part.First == utf8.RuneError:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteString(strings.ToValidUTF8(part.Text, string(utf8.RuneError)))
		}
	}
	// Only now, when nothing can hide in the middle of a token any more.
	return plaintext.Cut(redactTokens(b.String(), secret), maxMessageRunes)
}

// credentialForms are bearer credentials and signed sessions, which begin with {" in base64.
var credentialForms = sync.OnceValue(func() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`(?i:bearer )[\w.+/=~-]{16,}`),
		regexp.MustCompile(`(?i:eyj)[\w.+/=~-]{17,}`),
	}
})

// redactTokens removes secret itself and anything like a kenbun token, a bearer credential
// or a signed session. A token's public prefix may stay.
func redactTokens(text string, secret Secret) string {
	if value := secret.Reveal(); len(value) >= patPublicLen {
		text = strings.ReplaceAll(text, value, redacted)
	}
	text = redact.Whole(text)
	for _, form := range credentialForms() {
		text = form.ReplaceAllLiteralString(text, redacted)
	}
	return text
}
