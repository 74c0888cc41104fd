package telemetry

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestSendingErrors_AreToldWithoutTheAddress(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		collector net.Listener
		limit     time.Duration
		wanted    string
	}{
		{silent, 100 * time.Millisecond, "it did not answer in time"},
		{gone, 20 * time.Second, "no connection could be made"}, // which is known at once
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.limit)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://user:hunter2@"+c.collector.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			t.Fatal(response.Status, response.Body.Close())
		}
		cancel()
		if text := sendingError(err).Error(); text != "the collector cannot be used: "+c.wanted {
			t.Errorf("%q", text)
		}
	}
}
