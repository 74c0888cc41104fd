package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A32: net/http must not send a POST a second time by itself when a kept-alive
// connection dies after the request was read.
func TestA32_PostIsNotReplayedOnADyingConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var posts, connections atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			// One connection at a time is all that this client makes.
			reader := bufio.NewReader(conn)
			for {
				req, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				if req.Method == http.MethodPost {
					posts.Add(1)
					break
				}
				if _, err := fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"); err != nil {
					break
				}
			}
			_ = conn.Close() // this is the fault
		}
	}()
	c := newTestClient(t, "http://"+listener.Addr().String())
	_, err = c.As(Credential{PAT: NewSecret(randomPAT())}).CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeNotCreated)
	if posts.Load() != 1 || connections.Load() != 2 {
		t.Errorf("the server read %d POSTs on %d connections, want 1 on the kept-alive one of 2", posts.Load(), connections.Load())
	}
	c.CloseIdleConnections()
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	<-done
}

// A create whose first dial fails has surely not acted: it is sent when the API
// is back.
func TestPostIsSentAgainAfterADialError(t *testing.T) {
	api := newFakeAPI(t)
	var dials atomic.Int64
	dialer := &net.Dialer{}
	transport := &http.Transport{
		DisableKeepAlives: true, // each request dials
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) == 2 { // the first is the list
				return dialer.DialContext(ctx, network, refusing)
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	created, err := newTestCaller(t, api.URL, WithTransport(transport)).CreateToken(t.Context(), NewToken{Name: "ci"})
	if err != nil || api.count(http.MethodPost) != 1 || dials.Load() != 3 {
		t.Fatalf("%v after %d POSTs and %d dials", err, api.count(http.MethodPost), dials.Load())
	}
	if live := api.live(); len(live) != 1 || live[0] != created.ID {
		t.Errorf("live tokens are %v", live)
	}
}

func TestPostThatNeverLeftIsNoDoubt(t *testing.T) {
	api := newFakeAPI(t)
	var dials atomic.Int64
	dialer := &net.Dialer{}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) > 1 { // the first is the list
				address = refusing
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	_, err := newTestCaller(t, api.URL, WithTransport(transport)).CreateToken(t.Context(), NewToken{Name: "ci"})
	var doubt *CreateError
	if !errors.Is(err, ErrUnavailable) || errors.As(err, &doubt) || dials.Load() != 5 || api.count(http.MethodPost) != 0 {
		t.Errorf("%v after %d dials", err, dials.Load())
	}
}

// A transport that reports nothing proves nothing.
func TestPostIsNotSentAgainThroughASilentTransport(t *testing.T) {
	api := newFakeAPI(t)
	posts := 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			posts++
			return nil, &net.OpError{Op: "dial", Err: errors.New("says it did not dial")}
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	_, err := newTestCaller(t, api.URL, WithTransport(transport)).CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeNotCreated)
	if posts != 1 {
		t.Errorf("sent %d times", posts)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
