//go:build conformance

package streamable

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// What the suite has the server ask of a client, beside what the server asks of
// itself.
var (
	_ server.SessionWithSampling = (*requestSession)(nil)
	_ server.SessionWithRoots    = (*requestSession)(nil)
)

// RequestSampling asks the client's model.
func (s *requestSession) RequestSampling(ctx context.Context, request mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	return askFor[mcp.CreateMessageResult](ctx, s, mcp.MethodSamplingCreateMessage, request.CreateMessageParams)
}

// ListRoots asks for the client's folders.
func (s *requestSession) ListRoots(ctx context.Context, _ mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	return askFor[mcp.ListRootsResult](ctx, s, mcp.MethodListRoots, nil)
}

func askFor[T any](ctx context.Context, s *requestSession, method mcp.MCPMethod, params any) (*T, error) {
	answer, err := s.questions.Ask(ctx, s.exchange.send, string(method), params)
	if err != nil {
		return nil, err
	}
	result := new(T)
	return result, json.Unmarshal(answer, result)
}
