package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestP23_AnAnswerOfSomethingInBetweenIsNoVerdict(t *testing.T) {
	const json, html = "application/json", "text/html; charset=utf-8"
	for name, tc := range map[string]struct {
		status      int
		kind, body  string
		header      [2]string
		want, never error
		cause       Cause
		says        string
	}{
		"firewall, 403 as a page":          {403, html, "<title>Blocked</title>", [2]string{"Server", "squid"}, ErrUnexpectedAnswer, ErrForbidden, CauseIntermediary, `it says "Blocked (squid)"`},
		"firewall, 403 as text":            {403, "text/plain", "RBAC: access denied", [2]string{}, ErrUnexpectedAnswer, ErrForbidden, CauseIntermediary, "RBAC: access denied"},
		"firewall, 403 without a body":     {403, "", "", [2]string{}, ErrUnexpectedAnswer, ErrForbidden, CauseIntermediary, "something between"},
		"other JSON":                       {403, json, `{"blocked":true,"policy":"dlp"}`, [2]string{}, ErrUnexpectedAnswer, ErrForbidden, CauseIntermediary, "something between"},
		"other challenge":                  {401, json, `{"message":"Unauthorized"}`, [2]string{"WWW-Authenticate", `Basic realm="corp"`}, ErrUnexpectedAnswer, ErrUnauthenticated, CauseIntermediary, "something between"},
		"other challenge, no body":         {401, "", "", [2]string{"WWW-Authenticate", "Negotiate"}, ErrUnexpectedAnswer, ErrUnauthenticated, CauseIntermediary, "something between"},
		"sign-in page, 401":                {401, html, "<h1>Sign in", [2]string{}, ErrUnexpectedAnswer, ErrUnauthenticated, CauseIntermediary, `"Sign in"`},
		"sign-in page, 200":                {200, html, "<html>Sign in", [2]string{}, ErrUnexpectedAnswer, nil, CauseIntermediary, `"Sign in"`},
		"empty page":                       {401, html, "", [2]string{}, ErrUnexpectedAnswer, ErrUnauthenticated, CauseIntermediary, ""},
		"redirect":                         {302, "", "", [2]string{"Location", "https://login.example"}, ErrUnexpectedAnswer, nil, CauseRedirect, "redirect"},
		"page, 404":                        {404, html, "<h1>Not here", [2]string{}, ErrUnexpectedAnswer, ErrNotFound, CauseIntermediary, "something between"},
		"page, 409":                        {409, html, "<h1>No", [2]string{}, ErrUnexpectedAnswer, ErrTokenLimit, CauseIntermediary, "something between"},
		"gateway":                          {502, html, "<h1>Bad Gateway", [2]string{}, ErrUnavailable, nil, CauseGateway, "try again later"},
		"portal of the network":            {511, html, "<h1>Welcome", [2]string{}, ErrUnexpectedAnswer, ErrUnavailable, CauseIntermediary, "something between"},
		"proxy that wants a login":         {407, html, "", [2]string{}, ErrUnavailable, ErrUnauthenticated, CauseProxyLogin, "HTTPS_PROXY"},
		"limit of something in between":    {429, html, "<h1>Slow down", [2]string{"Retry-After", "31"}, ErrRateLimited, nil, CauseIntermediary, "lets no more requests through"},
		"marked by a gateway":              {403, json, `{"message":"Forbidden"}`, [2]string{"X-Amzn-Errortype", "ForbiddenException"}, ErrUnexpectedAnswer, ErrForbidden, CauseIntermediary, "something between"},
		"kenbun's own, 403":                {403, json, `{"message":"no"}`, [2]string{}, ErrForbidden, ErrIntermediary, CauseAPI, `the API said "no"`},
		"kenbun's own, 401 without a body": {401, "", "", [2]string{}, ErrUnauthenticated, ErrIntermediary, CauseAPI, "does not accept the token"},
		"kenbun's own challenge":           {401, "", "", [2]string{"WWW-Authenticate", `Bearer error="invalid_token"`}, ErrUnauthenticated, ErrIntermediary, CauseAPI, ""},
		"JSON sent as text":                {401, "text/plain", `{"error":"unauthenticated"}`, [2]string{}, ErrUnauthenticated, ErrIntermediary, CauseAPI, ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				}
				if tc.header[0] != "" {
					w.Header().Set(tc.header[0], tc.header[1])
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body)) // the client may have gone
			}))
			t.Cleanup(srv.Close)
			u := newTestCaller(t, srv.URL)
			_, meErr := u.Me(t.Context())
			_, listErr := u.ListTokens(t.Context())
			_, unitsErr := u.OrgUnits(t.Context())
			_, updateErr := u.UpdateToken(t.Context(), "pat_1", TokenChange{Name: "x"})
			for call, err := range map[string]error{"me": meErr, "list": listErr, "units": unitsErr, "update": updateErr} {
				e := mustError(t, err)
				if !errors.Is(err, tc.want) || tc.never != nil && errors.Is(err, tc.never) || e.Cause != tc.cause || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%s: %v (cause %s)", call, err, e.Cause)
				}
				if foreign := errors.Is(err, ErrIntermediary); foreign != (tc.cause != CauseAPI) {
					t.Errorf("%s: errors.Is(err, ErrIntermediary) is %t", call, foreign)
				}
			}
		})
	}
}

func TestP24_TheAPIsCodeDecidesOverTheStatus(t *testing.T) {
	for body, want := range map[string]error{
		`{"error":{"code":"name_taken","message":"there is one of that name"}}`: ErrInvalid,
		`{"code":"name_taken"}`:                       ErrInvalid,
		`{"code":"some_other_conflict"}`:              ErrInvalid,
		`{"message":"a token of this name is there"}`: ErrInvalid,
		`{"error":{"code":"token_limit_reached"}}`:    ErrTokenLimit,
		`{"message":"you have the maximum number"}`:   ErrTokenLimit,
		``:                        ErrTokenLimit, // kenbun documents 409 for the limit
		`{"code":"rate_limited"}`: ErrRateLimited,
	} {
		api := newFakeAPI(t)
		api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusConflict)
			_, _ = fmt.Fprint(w, body) // the client may have gone
			return true
		}
		_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
		if e := mustError(t, err); !errors.Is(err, want) || e.Cause != CauseAPI || !errors.Is(want, ErrTokenLimit) && strings.Contains(err.Error(), "revoke") {
			t.Errorf("%s: %v", body, err)
		}
	}
	// What is proof of something needs a status that says it, too.
	_, err := newTestCaller(t, answering(t, 401, "application/json", `{"code":"forbidden"}`).URL).ListTokens(t.Context())
	if !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("401 with the code forbidden: %v", err)
	}
}

func TestP28_AWaitThatIsHardToReadIsNeitherNoneNorAYear(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	in := func(seconds int) string { return fmt.Sprint(now.Unix() + int64(seconds)) }
	for value, want := range map[string]time.Duration{
		"1.5": 2 * time.Second, "0.2": time.Second, "60s": time.Minute, "60 seconds": time.Minute, "2m": 2 * time.Minute, "1500ms": 2 * time.Second,
		"1h": time.Hour, in(90): 90 * time.Second, in(90) + "000": 90 * time.Second, in(-5): 0,
		now.Add(time.Minute).Format(time.RFC3339): time.Minute,
		"5, 7": 7 * time.Second, "5,5": 5 * time.Second, "soon": time.Second, "-5": time.Second, "PT30S": time.Second, "NaN": time.Second, ".": time.Second,
		"99999999999999999999": longestWait,
	} {
		header := http.Header{"Date": {now.Format(http.TimeFormat)}, "Retry-After": {value}}
		if got, _ := retryAfter(503, header); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	header := http.Header{"Date": {now.Format(http.TimeFormat)}, "Retry-After": {"3", "9"}}
	if got, ok := retryAfter(503, header); got != 9*time.Second || !ok {
		t.Errorf("a doubled header: %s", got)
	}
}

func TestP28_APostIsNotRepeatedWithinASecond(t *testing.T) {
	for _, value := range []string{"", "0", "0.2", "soon"} {
		api := newFakeAPI(t)
		var posts []time.Time
		api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			posts = append(posts, time.Now())
			if n > 1 {
				return false
			}
			w.Header().Set("Retry-After", value)
			refuse(w, http.StatusTooManyRequests, "rate_limited")
			return true
		}
		c := newTestClient(t, api.URL)
		c.postPause = firstUnit
		_, err := c.As(Credential{PAT: NewSecret(randomPAT())}).CreateToken(t.Context(), NewToken{Name: "ci"})
		if err != nil || len(posts) != 2 || posts[1].Sub(posts[0]) < time.Second {
			t.Errorf("%q: %v, %d requests at %v", value, err, len(posts), posts)
		}
	}
}
