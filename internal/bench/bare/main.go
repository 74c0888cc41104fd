// Command bare is the least that a server on mcp-go can be: one tool that returns
// what the API answers, over stdio or, with the argument "http", over streamable HTTP.
// The benchmark measures kenbun-mcp beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("bare", "1")
	s.AddTool(mcp.NewTool("list_tokens", mcp.WithDescription("Lists tokens."), mcp.WithNumber("limit")), listTokens)
	serve := server.ServeStdio
	if len(os.Args) > 1 {
		serve = serveHTTP
	}
	if err := serve(s); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

// api keeps as many connections to the API as kenbun-mcp does.
var api = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

func listTokens(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("KENBUN_API_URL")+"/settings/tokens", http.NoBody) //nolint:gosec // the benchmark sets the address
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", request.Header.Get("Authorization"))
	response, err := api.Do(r) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	return mcp.NewToolResultText(string(body)), nil
}

func serveHTTP(s *server.MCPServer, _ ...server.StdioOption) error {
	var listening net.ListenConfig
	listener, err := listening.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: server.NewStreamableHTTPServer(s), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // only its end matters
		_ = web.Close()
	}()
	fmt.Fprintf(os.Stderr, "http://%s\n", listener.Addr())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
