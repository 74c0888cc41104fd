package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
)

// httpHouse is a house served over HTTP.
type httpHouse struct {
	*house
	url    string
	client *http.Client
	// stop ends the server and returns what Serve returned.
	stop func() error
}

// byRequest has each call run as the user of its request's token.
func byRequest(*house, *client.Client) tools.Callers { return identity.RequestCallers() }

// serveHTTP serves a house on a loopback port.
func serveHTTP(t testing.TB, configure ...func(*house, *server.HTTPConfig)) *httpHouse {
	t.Helper()
	h := newHouse(t, byRequest)
	config := server.HTTPConfig{API: h.api.Client(t)}
	for _, c := range configure {
		c(h, &config)
	}
	handler, err := h.HTTPHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, h, handler)
}

// listen serves handler on a loopback port, behind what guards put around the
// listener.
func listen(t testing.TB, h *house, handler http.Handler, guards ...func(net.Listener) net.Listener) *httpHouse {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, guard := range guards {
		listener = guard(listener)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(ctx, listener, handler, 0) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	served := &httpHouse{
		house: h, url: "http://" + listener.Addr().String(),
		client: &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	}
	served.stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(patience):
			t.Error("Serve does not end")
			return nil
		}
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := served.stop(); err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return served
}

// httpAnswer is a whole HTTP answer.
type httpAnswer struct {
	status int
	header http.Header
	body   string
}

// message is the JSON-RPC message of an answer, in JSON or as the last event of
// a stream.
func (a httpAnswer) message(t testing.TB) message {
	t.Helper()
	text := a.body
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		text = ""
		for line := range strings.Lines(a.body) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				text = data
			}
		}
	}
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("status %d, no message: %q", a.status, a.body)
	}
	return m
}

// problem is the code of an error in JSON.
func (a httpAnswer) problem(t testing.TB) string {
	t.Helper()
	var p struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Description == "" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("status %d, the body is no problem in JSON: %q", a.status, a.body)
	}
	return p.Error
}

// headers are pairs of a name and a value; one name may come several times.
type headers []string

func bearer(pat string) headers { return headers{"Authorization", "Bearer " + pat} }

func (h headers) with(more ...string) headers { return append(append(headers{}, h...), more...) }

func (h *httpHouse) newRequest(t testing.TB, method, path string, header headers, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
	}
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "Content-Type":
			r.Header.Set("Content-Type", header[i+1])
		default:
			r.Header.Add(header[i], header[i+1])
		}
	}
	return r
}

func (h *httpHouse) do(t testing.TB, method, path string, header headers, body string) httpAnswer {
	t.Helper()
	return h.send(t, h.newRequest(t, method, path, header, body))
}

func (h *httpHouse) send(t testing.TB, r *http.Request) httpAnswer {
	t.Helper()
	response, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return httpAnswer{response.StatusCode, response.Header, string(data)}
}

func (h *httpHouse) post(t testing.TB, header headers, body string) httpAnswer {
	t.Helper()
	return h.do(t, http.MethodPost, "/mcp", header, body)
}

// modern sends a request of protocol 2026-07-28 with the headers that it asks
// for.
func (h *httpHouse) modern(t testing.TB, header headers, id any, method string, params map[string]any) httpAnswer {
	t.Helper()
	header = header.with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", method)
	if name, ok := params["name"].(string); ok {
		header = header.with("Mcp-Name", name)
	}
	return h.post(t, header, modern(t, id, method, params))
}

// session opens a session of protocol 2025-11-25 and returns the headers of its
// requests.
func (h *httpHouse) session(t testing.TB, header headers, capabilities map[string]any) headers {
	t.Helper()
	answer := h.post(t, header, initialize(t, 0, capabilities))
	id := answer.header.Get("Mcp-Session-Id")
	if answer.status != http.StatusOK || id == "" {
		t.Fatalf("initialize: status %d, session %q, %s", answer.status, id, answer.body)
	}
	header = header.with("Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25")
	if answer := h.post(t, header, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); answer.status != http.StatusAccepted {
		t.Fatalf("notifications/initialized: status %d, %s", answer.status, answer.body)
	}
	return header
}

// stream is an answer that is read event by event.
type stream struct {
	t        testing.TB
	response *http.Response
	lines    *bufio.Reader
	// limit gives the stream up when it is not stopped in time.
	limit *time.Timer
}

// unhurried is the client for requests that wait while the test does something
// else.
func (h *httpHouse) unhurried() *http.Client {
	c := *h.client
	c.Timeout = 0
	return &c
}

// open sends a request and returns as soon as its answer begins. Reading an event
// may take as long as patience; between two, the stream may wait.
func (h *httpHouse) open(t testing.TB, method string, header headers, body string) *stream {
	t.Helper()
	ctx, giveUp := context.WithCancel(t.Context())
	limit := time.AfterFunc(patience, giveUp)
	defer limit.Stop()
	response, err := h.unhurried().Do(h.newRequest(t, method, "/mcp", header, body).WithContext(ctx))
	if err != nil {
		giveUp()
		t.Fatal(err)
	}
	t.Cleanup(giveUp)
	s := &stream{t, response, bufio.NewReader(response.Body), limit}
	t.Cleanup(func() { _ = response.Body.Close() }) // a test may have closed it
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		data, _ := io.ReadAll(response.Body)
		t.Fatalf("status %d, %s instead of a stream: %s", response.StatusCode, got, data)
	}
	return s
}

// next returns the message of the next event.
func (s *stream) next() message {
	s.t.Helper()
	s.limit.Reset(patience)
	defer s.limit.Stop()
	for {
		line, err := s.lines.ReadBytes('\n')
		if err != nil {
			s.t.Fatalf("the stream ended: %v", err)
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			var m message
			if err := json.Unmarshal(data, &m); err != nil {
				s.t.Fatal(err)
			}
			return m
		}
	}
}

// ends waits for the end of the stream.
func (s *stream) ends() {
	s.t.Helper()
	s.rest()
}

// rest is what comes until the end of the stream.
func (s *stream) rest() string {
	s.t.Helper()
	s.limit.Reset(patience)
	defer s.limit.Stop()
	rest, err := io.ReadAll(s.lines)
	if err != nil {
		s.t.Errorf("the stream broke off after %q: %v", rest, err)
	}
	return string(rest)
}
