package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
)

// api is an authority in memory with one user.
type api struct {
	url   string
	pat   string
	user  *client.Caller
	close func() error
}

const (
	userEmail = "bench@example.com"
	ownTokens = 100
)

func startAPI(ctx context.Context) (*api, error) {
	a, err := authority.Open(ctx, authority.Config{Store: "memory", TokenLimit: 1000})
	if err != nil {
		return nil, err
	}
	if _, err := a.AddUser(ctx, authority.NewUser{Email: userEmail, FirstName: "Bench", LastName: "Mark", Role: authority.RoleMember}); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	issued, err := a.IssueToken(ctx, userEmail, "the token in use", nil)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	// What users have: a hundred tokens with names of some length.
	for i := range ownTokens - 1 {
		ends := time.Now().Add(time.Duration(i+1) * 24 * time.Hour)
		if _, err := a.IssueToken(ctx, userEmail, fmt.Sprintf("MCP Server - Work Laptop %d", i), &ends); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- a.Serve(serving, listener) }()
	url := "http://" + listener.Addr().String()
	c, err := client.New(client.WithBaseURL(url))
	running := &api{url: url, pat: issued.Value, close: func() error { stop(); return errors.Join(<-served, a.Close()) }}
	if err != nil {
		return nil, errors.Join(err, running.close())
	}
	running.user = c.As(client.Credential{PAT: client.NewSecret(issued.Value)})
	return running, nil
}
