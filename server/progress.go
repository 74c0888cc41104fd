package server

import (
	"bytes"
	"context"
	"math"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/tools"
)

// withProgress has the client hear that its call goes on, if it asked for that with a
// progress token, which goes back as it came.
func withProgress(ctx context.Context, m *message) context.Context {
	token := m.meta["progressToken"]
	session := server.ClientSessionFromContext(ctx)
	if m.Method != string(mcp.MethodToolsCall) || session == nil || len(token) == 0 || string(token) == "null" {
		return ctx
	}
	token = bytes.Clone(token) // the call may go on, and must not hold the message
	return tools.WithProgress(ctx, func(elapsed time.Duration, message string) {
		n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION}
		n.Method = string(mcp.MethodNotificationProgress)
		n.Params.AdditionalFields = map[string]any{
			"progressToken": token, "progress": math.Round(elapsed.Seconds()*10) / 10, "message": message,
		}
		select {
		case session.NotificationChannel() <- n:
		default: // a client that does not read misses nothing that it needs
		}
	})
}
