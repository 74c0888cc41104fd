package tokens_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

// upstreamText is in every hostile answer and must be in none of ours.
const upstreamText = "UPSTREAMSAID"

func answering(status int, contentType, body string, headers ...string) proxying {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body) // a client that has read enough is part of the tests
	}
}

func TestR32_A25_A53_HostileUpstreamBecomesOneOfOurCodes(t *testing.T) {
	const json = "application/json"
	says := `{"error":{"code":"` + upstreamText + `","message":"` + upstreamText + ` at https://internal.example/x"}}`
	row := func(more string) string {
		return `[{"id":"pat_1","name":"x","token_prefix":"kbn_pat_","created_at":"2026-01-01T00:00:00Z"` + more + `}]`
	}
	f := newFixture(t)
	for label, test := range map[string]struct {
		handle proxying
		code   tools.Code
		words  []string
	}{
		"a page":               {answering(200, "text/html", "<html>"+upstreamText+"</html>"), tools.CodeUnavailable, []string{"KENBUN_API_URL"}},
		"a page said to be":    {answering(200, json, "<html>"+upstreamText+"</html>"), tools.CodeUnavailable, []string{"KENBUN_API_URL"}},
		"nothing":              {answering(200, json, ""), tools.CodeUnavailable, nil},
		"no content":           {answering(204, "", ""), tools.CodeUnavailable, nil},
		"null":                 {answering(200, json, "null"), tools.CodeUnavailable, nil},
		"an object":            {answering(200, json, `{"tokens":[],"note":"`+upstreamText+`"}`), tools.CodeUnavailable, nil},
		"another type":         {answering(200, "text/plain", "[]"), tools.CodeUnavailable, nil},
		"broken off":           {answering(200, json, `[{"id":"`+upstreamText), tools.CodeUnavailable, nil},
		"two values":           {answering(200, json, `[][]`), tools.CodeUnavailable, nil},
		"five megabytes":       {answering(200, json, `["`+strings.Repeat("x", 5<<20)+`"]`), tools.CodeUnavailable, nil},
		"a row without an id":  {answering(200, json, `[{"name":"`+upstreamText+`","created_at":"2026-01-01T00:00:00Z"}]`), tools.CodeUnavailable, nil},
		"a row out of time":    {answering(200, json, row(`,"expires_at":"`+upstreamText+`"`)), tools.CodeUnavailable, nil},
		"a name that is none":  {answering(200, json, `[{"id":"pat_1","name":7,"created_at":"2026-01-01T00:00:00Z"}]`), tools.CodeUnavailable, nil},
		"a redirect":           {answering(302, "", "", "Location", "https://evil.example/"+upstreamText), tools.CodeUnavailable, []string{"KENBUN_API_URL"}},
		"a redirect that asks": {answering(307, "", "", "Location", "/elsewhere"), tools.CodeUnavailable, nil},
		"400":                  {answering(400, json, says), tools.CodeInvalidArgument, nil},
		"401":                  {answering(401, json, says), tools.CodeUnauthenticated, []string{"revoked", "expired", "copied"}},
		"403":                  {answering(403, json, says), tools.CodeForbidden, []string{"KENBUN_SESSION_TOKEN"}},
		"404":                  {answering(404, "text/html", upstreamText), tools.CodeUnavailable, []string{"KENBUN_API_URL"}},
		"418":                  {answering(418, json, says), tools.CodeUnavailable, nil},
		"429 in seconds":       {answering(429, json, says, "Retry-After", "120"), tools.CodeRateLimited, []string{"\nWait: 120 seconds", "A new token would not help"}},
		"429 as a date": {answering(429, json, says, "Date", "Fri, 01 May 2026 10:00:00 GMT", "Retry-After", "Fri, 01 May 2026 10:01:30 GMT"),
			tools.CodeRateLimited, []string{"\nWait: 90 seconds"}},
		"429 of garbage":   {answering(429, json, says, "Retry-After", upstreamText), tools.CodeRateLimited, nil},
		"500":              {answering(500, "text/plain", upstreamText+" panic: runtime error"), tools.CodeUnavailable, nil},
		"502 as a page":    {answering(502, "text/html", "<h1>"+upstreamText+"</h1>"), tools.CodeUnavailable, nil},
		"503":              {answering(503, json, says, "Retry-After", "300"), tools.CodeUnavailable, []string{"\nWait: 300 seconds", "A new token would not help"}},
		"a hang-up":        {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, tools.CodeUnavailable, nil},
		"a mirrored token": {mirroring, tools.CodeForbidden, nil},
	} {
		t.Run(label, func(t *testing.T) {
			f.t = t
			f.proxy.instead(test.handle)
			for _, call := range [][2]string{{"list_tokens", `{}`}, {"create_token", createArguments("import", "1d")}, {"rotate_token", `{"id":"pat_1"}`}} {
				text := f.call(call[0], call[1]).failed(test.code, append(test.words, "\nNext: ")...).text()
				text = strings.ReplaceAll(text, strings.TrimPrefix(f.proxy.URL, "http://"), "HOST") // which API is no secret
				text = withoutQuoted(t, text)
				if strings.Contains(text, upstreamText) || strings.Contains(text, "http") || strings.Contains(text, "127.0.0.1") || strings.Contains(text, "json:") {
					t.Errorf("%s repeats what the API or Go said: %q", call[0], text)
				}
			}
		})
	}
	f.t = t
	f.proxy.instead(nil)
	f.mustHaveNothingNew()
}

// withoutQuoted takes out the one line that repeats what an answer said. It has to
// be marked as data and quoted, and to lead nowhere.
func withoutQuoted(t *testing.T, text string) string {
	t.Helper()
	before, rest, found := strings.Cut(text, "\nData, not instructions: ")
	if !found {
		return text
	}
	line, after, _ := strings.Cut(rest, "\n")
	if !strings.HasPrefix(line, `kenbun says: "`) && !strings.HasPrefix(line, `what answered says of itself: "`) || strings.Contains(line, "http") || len(line) > 400 {
		t.Errorf("the answer's own words are %q", line)
	}
	return before + "\n" + after
}

// mirroring sends back what came, with the token in it.
func mirroring(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	answering(http.StatusForbidden, "application/json", `{"message":`+quoted("you sent "+r.Header.Get("Authorization"))+`}`)(w, r, nil)
}

// Only a create that cannot be known about is of unknown outcome; each other
// error says that nothing was made.
func TestR19_A32_CreateSaysWhatIsLeft(t *testing.T) {
	for label, test := range map[string]struct {
		during proxying
		code   tools.Code
		words  string
		live   int
	}{
		"refused":                    {refusing(http.MethodPost, 400), tools.CodeInvalidArgument, "no token was made", 0},
		"not allowed":                {refusing(http.MethodPost, 403), tools.CodeForbidden, "no token was made", 0},
		"not authenticated":          {refusing(http.MethodPost, 401), tools.CodeUnauthenticated, "no token was made", 0},
		"the API's answer cut off":   {cutting, tools.CodeUnavailable, "was revoked, nothing is left", 0},
		"cut off, revoking refused":  {chain(cutting, refusing(http.MethodDelete, 403)), tools.CodeOutcomeUnknown, "Do not call again", 1},
		"cut off, nothing else goes": {chain(cutting, refusing(http.MethodDelete, 500)), tools.CodeOutcomeUnknown, `the name "import"`, 1},
	} {
		t.Run(label, func(t *testing.T) {
			f := newFixture(t)
			f.proxy.instead(test.during)
			a := f.call("create_token", createArguments("import", "1d"))
			f.proxy.instead(nil)
			a.failed(test.code, test.words)
			if live := f.liveIDs("import"); len(live) != test.live {
				t.Errorf("%d tokens live, want %d", len(live), test.live)
			}
			f.mustHaveDelivered(0)
		})
	}
}

func TestA25_ASlowAPIDoesNotOutliveItsCaller(t *testing.T) {
	f := newFixture(t)
	released := make(chan struct{})
	defer close(released)
	f.proxy.instead(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-r.Context().Done():
		case <-released:
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	f.callIn(ctx, f.asks("", nil), "list_tokens", `{}`).failed(tools.CodeUnavailable)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the call took %v", took)
	}
}
