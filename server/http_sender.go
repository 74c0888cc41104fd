package server

import (
	"context"
	"net/http"
)

// sender is whoever sends a request: first somebody with a token of the right
// form, and a caller once the API has accepted the token.
type sender struct {
	// id is the caller's.
	id string
	// proven reports whether the API accepted the token lately.
	proven bool
	// verify asks the API about the token. Nil: there is nothing to ask.
	verify func(context.Context) error
}

type senderKey struct{}

func withSender(ctx context.Context, s *sender) context.Context {
	return context.WithValue(ctx, senderKey{}, s)
}

// senderOf returns the sender of r. Without one, nobody is proven and nobody can
// be.
func senderOf(r *http.Request) *sender {
	if s, ok := r.Context().Value(senderKey{}).(*sender); ok {
		return s
	}
	return &sender{}
}

// prove asks the API about the token unless it is proven. The error is one for
// [challenge].
func (s *sender) prove(ctx context.Context) error {
	if s.proven {
		return nil
	}
	if s.verify == nil {
		return errInvalidToken
	}
	if err := s.verify(ctx); err != nil {
		return err
	}
	s.proven = true
	connectionOf(ctx).trust()
	return nil
}
