package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// get sends a request on a connection of its own.
func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		return 0, "", err
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(content), answer.Body.Close()
}

func TestServe_GoesOnWhileItDrains(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	handler := NewReadiness(func(context.Context) string { return "" }).Probes(hello)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, listener, handler, DefaultTimeouts(), 2*time.Second, slog.New(slog.DiscardHandler))
	}()
	url := "http://" + listener.Addr().String()
	if status, body, err := get(t, url+ReadyPath); status != http.StatusOK {
		t.Errorf("before: %d, %s, %v", status, body, err)
	}
	end()
	if status, body, err := get(t, url+ReadyPath); status != http.StatusServiceUnavailable || body != `{"reason":"draining","status":"unavailable"}`+"\n" {
		t.Errorf("the probe while draining: %d, %s, %v", status, body, err)
	}
	if status, body, err := get(t, url+"/"); status != http.StatusOK || body != "hello" {
		t.Errorf("a request while draining: %d, %s, %v", status, body, err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the server ended before the time for draining was over: %v", err)
	default:
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status, _, err := get(t, url+"/"); err == nil {
		t.Errorf("after the end: %d", status)
	}
}
