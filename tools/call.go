package tools

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/client"
)

// API is what the tools need of kenbun, acting as one user. *client.Caller
// implements it.
type API interface {
	Me(ctx context.Context) (*client.Me, error)
	OrgUnits(ctx context.Context) ([]client.OrgUnit, error)
	ListTokens(ctx context.Context) ([]client.Token, error)
	ReadTokens(ctx context.Context, begin func() func(*client.Token)) error
	CreateToken(ctx context.Context, token client.NewToken) (*client.CreatedToken, error)
	RevokeToken(ctx context.Context, id string) error
	UpdateToken(ctx context.Context, id string, change client.TokenChange) (*client.Token, error)
	GrantablePermissions(ctx context.Context) ([]string, error)
}

// Caller is the user as whom a call runs.
type Caller struct {
	// API acts as this user.
	API API
	// With returns the API as seen with another token of the same user, to find
	// out whether that works.
	With func(pat client.Secret) API
	// ID tells callers apart. It is derived from the credential under a key, so
	// that it can be compared and logged but not turned back.
	ID string
	// TokenPrefix is the public part of the token in use; empty if it has none.
	TokenPrefix string
	// TokenSource tells a person where the token in use came from, such as
	// "KENBUN_PAT" or "the request". It is words, not a secret.
	TokenSource string
}

// CheckToken returns nil if the API accepts the token that api acts with. Errors are
// those of [client.Caller.ReadTokens].
func CheckToken(ctx context.Context, api API) error {
	_, err := api.OrgUnits(ctx)
	if !client.AcceptsToken(err) && !errors.Is(err, client.ErrUnavailable) {
		// Not every answer about one endpoint is about the token.
		err = api.ReadTokens(ctx, func() func(*client.Token) { return func(*client.Token) {} })
	}
	if client.AcceptsToken(err) {
		return nil
	}
	return err
}

// Callers finds out as whom a call runs. An *[Error] with
// [CodeUnauthenticated] that says how to give a token is the right answer where
// there is none; nobody is ever served as somebody else.
type Callers interface {
	Caller(ctx context.Context) (Caller, error)
}

// call is one tool call on its way.
type call struct {
	*Toolbox
	work    *work
	tool    *Tool
	args    arguments
	caller  Caller
	request mcp.CallToolRequest
	// requestID is empty where the transport gives none.
	requestID string
	now       time.Time
	logger    *slog.Logger
	trail     trail
	// accountKey is the account under which changes count. Empty: not known yet.
	accountKey string
	// pickup is where the user asked for the token that is made. Nil: nowhere.
	pickup Pickup
	// current is what stands where a new token is put. Nil: it is put where nothing is.
	current *CurrentValue
	// undo is that of the call's result.
	undo func()
	// endStretch ends the context of the latest stretch.
	endStretch context.CancelFunc
}

// stretch returns the context for what is done next with the API, which has a
// bounded time for it, however long the user thought before. It ends the one before.
func (c *call) stretch() context.Context {
	if c.endStretch != nil {
		c.endStretch()
	}
	ctx, end := context.WithTimeout(c.work.ctx, c.patience.forAPI())
	c.endStretch = end
	return ctx
}

// token finds the caller's own token id, as it is now.
func (c *call) token(ctx context.Context, id string) (*client.Token, error) {
	token, err := FindToken(ctx, c.caller.API, id)
	switch {
	case err != nil:
		return nil, upstream(err, "look at the tokens")
	case token == nil:
		return nil, tokenNotFound()
	}
	return token, nil
}

// FindToken returns the token id as the list has it, nil if the list has none
// such. Errors are those of the list.
func FindToken(ctx context.Context, api API, id string) (*client.Token, error) {
	var found *client.Token
	err := api.ReadTokens(ctx, func() func(*client.Token) {
		found = nil
		return func(token *client.Token) {
			if token.ID == id {
				found = token
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// inUse reports whether token is the one that the call itself runs on. Where the
// API shows too little of a token to tell, it counts as in use.
func (c *call) inUse(token *client.Token) bool {
	return isNamedBy(token, c.caller.TokenPrefix) || mayBeNamedBy(token, c.caller.TokenPrefix, c.now)
}
