package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
)

type proxying = func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// rewriting changes each JSON object, or each one in a list, that the API
// answers with.
func rewriting(t *testing.T, change func(map[string]json.RawMessage)) proxying {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		recorded := httptest.NewRecorder()
		pass.ServeHTTP(recorded, r)
		body := recorded.Body.Bytes()
		var one map[string]json.RawMessage
		var many []map[string]json.RawMessage
		switch {
		case json.Unmarshal(body, &one) == nil:
			change(one)
			body = mustJSON(t, one)
		case json.Unmarshal(body, &many) == nil:
			for _, row := range many {
				change(row)
			}
			body = mustJSON(t, many)
		}
		copyAnswer(w, recorded, body)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return data
}

func copyAnswer(w http.ResponseWriter, recorded *httptest.ResponseRecorder, body []byte) {
	for name, values := range recorded.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(recorded.Code)
	_, _ = bytes.NewReader(body).WriteTo(w) // a client that hung up is part of the tests
}

// cancelAfter lets the API act on a request of one method and then has its
// caller hang up before the answer is there.
func cancelAfter(method string, cancel context.CancelFunc) proxying {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != method {
			pass.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		pass.ServeHTTP(recorded, r.WithContext(context.WithoutCancel(r.Context())))
		cancel()
		<-r.Context().Done()
	}
}

// count counts the requests from now on.
func (p *unrulyProxy) count() func() int {
	var n atomic.Int64
	p.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		n.Add(1)
		pass.ServeHTTP(w, r)
	})
	return func() int { return int(n.Load()) }
}
