package client

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sight is what the list shows of one token.
type sight struct {
	// token is the entry, nil if there is none.
	token *Token
	// live tells that some entry of that id is not revoked, revoked that there is one
	// and all are.
	live, revoked bool
	// own tells that the list has the token that the caller uses.
	own bool
	// complete tells that nothing says that there are further pages.
	complete bool
	entries  int
}

// sight looks for a token in the list.
func (u *Caller) sight(ctx context.Context, op, id string) (sight, error) {
	var seen sight
	own := u.cred.PAT.Prefix()
	cl := &call{op: op, path: tokensPath, secret: u.tokenManager()}
	cl.stream = func(body io.Reader) error {
		seen = sight{}
		return readList(body, func(token *Token) error {
			seen.entries++
			seen.own = seen.own || own != "" && strings.HasPrefix(token.Prefix, own)
			if token.ID == id {
				seen.token = token
				seen.live = seen.live || token.RevokedAt == nil
			}
			return nil
		})
	}
	if err := u.client.getStream(ctx, cl); err != nil {
		return sight{}, err
	}
	seen.revoked = seen.token != nil && !seen.live
	seen.complete = isWholeList(cl.answer, seen.entries)
	return seen, nil
}

// isWholeList reports whether a list of so many entries is all there is, as far as
// its header tells. kenbun documents no pages.
func isWholeList(a *answer, entries int) bool {
	if a.status != http.StatusOK || strings.Contains(asciiLower(strings.Join(a.header.Values("Link"), ",")), `rel="next"`) {
		return false
	}
	total, err := strconv.Atoi(strings.TrimSpace(a.header.Get("X-Total-Count")))
	return err != nil || total <= entries
}

// sleep pauses, and reports whether ctx lasted that long.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
