package tools

import (
	"context"

	"github.com/kenbun/kenbun-mcp/client"
)

// Keeper keeps the token that the server itself runs on, and can put another in
// its place.
type Keeper interface {
	// Replaceable reports where the token is kept, in words for a person, and
	// whether Replace could put another there. The error says why not, and what
	// the person has to change instead.
	Replaceable(ctx context.Context) (place string, err error)
	// Replace puts token where the present one is kept. From the next call on
	// the server runs on it. On an error, whose text may be shown to a model, the
	// present one is still in its place.
	Replace(ctx context.Context, token client.Secret) (place string, err error)
}
