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
	for address, wanted := range map[string]string{
		"http://user:hunter2@" + silent.Addr().String(): "it did not answer in time",
		"http://user:hunter2@" + gone.Addr().String():   "no connection could be made",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			t.Fatal(response.Status, response.Body.Close())
		}
		cancel()
		if text := sendingError(err).Error(); text != "the collector cannot be used: "+wanted {
			t.Errorf("%q", text)
		}
	}
}
