// Command proxy is a bare reverse proxy in front of the API: what a hop over
// HTTP costs that understands nothing. It prints its address and serves until
// its standard input ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

func main() {
	if err := serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	target, err := url.Parse(os.Getenv("KENBUN_API_URL"))
	if err != nil {
		return err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
			// As many connections as ours keeps to the API.
			Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		},
		ReadHeaderTimeout: 5 * time.Second,
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // only its end matters
		_ = server.Close()
	}()
	fmt.Fprintf(os.Stderr, "http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
