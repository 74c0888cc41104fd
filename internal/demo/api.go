package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

const (
	adaEmail  = "ada@example.com"
	staleName = "CI Pipeline (old)"
	day       = 24 * time.Hour
)

// api is the embedded API with a past: its clock is set back while Ada's older
// tokens are made and used.
type api struct {
	url   string
	pat   string
	close func() error
}

func startAPI(ctx context.Context) (_ *api, err error) {
	var back atomic.Int64
	now := func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	a, err := authority.Open(ctx, authority.Config{Store: "memory", Now: now})
	if err != nil {
		return nil, fmt.Errorf("start the embedded API: %w", err)
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded API: %w", err), a.Close())
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- a.Serve(serving, listener) }()
	running := &api{
		url:   "http://" + listener.Addr().String(),
		close: func() error { stop(); return errors.Join(<-served, a.Close()) },
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, running.close())
		}
	}()
	if _, err := a.AddUser(ctx, authority.NewUser{Email: adaEmail, FirstName: "Ada", LastName: "Lovelace", Role: authority.RoleAdmin}); err != nil {
		return nil, err
	}
	for _, past := range []struct {
		name           string
		made, lastUsed time.Duration
		lifetime       time.Duration
	}{
		{name: staleName, made: 400 * day, lastUsed: 210 * day},
		{name: "Quarterly export", made: 200 * day},
		{name: "Notebook", made: 40 * day, lastUsed: 2 * day, lifetime: 90 * day},
		{name: "MCP Server - Work Laptop", made: 10 * day, lifetime: 60 * day},
	} {
		back.Store(int64(past.made))
		var expires *time.Time
		if past.lifetime > 0 {
			end := now().Add(past.lifetime)
			expires = &end
		}
		issued, err := a.IssueToken(ctx, adaEmail, past.name, expires)
		if err != nil {
			return nil, err
		}
		if past.lastUsed > 0 {
			back.Store(int64(past.lastUsed))
			if err := use(ctx, running.url, issued.Value); err != nil {
				return nil, err
			}
		}
		running.pat = issued.Value
	}
	back.Store(0)
	return running, nil
}

// use makes one request with a token, so that it counts as used.
func use(ctx context.Context, url, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/me", http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("GET /me answered %s", response.Status), response.Body.Close())
	}
	return response.Body.Close()
}
