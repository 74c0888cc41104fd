package human

import (
	"context"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// Bounds of tries that did not lead to a claim of who tried. Who is right is
// never kept waiting.
const (
	maxWrongTriesPerClaim   = 5
	wrongTriesPerClaimKept  = 10 * time.Minute
	maxWrongTriesPerAddress = 20
	wrongTriesPerAddress    = time.Minute
)

// wrongTriesOfAll bounds the tries of everybody that one process writes into the
// store, so that strangers with many addresses do not fill it: 1,000 at once, and
// as many in a minute.
var wrongTriesOfAll = ratelimit.Limit{Burst: 1000, Interval: time.Minute / 1000}

// WrongTry counts a try to fetch a claim that failed with [ErrNoClaim], from
// the network address from. It returns how long whoever tries has to be kept
// off; zero while there were few. Unknown ids count like known ones. Once an
// address, or everybody together, tried too often, nothing new is written into
// the store.
func (c *Claims) WrongTry(ctx context.Context, id, from string) (wait time.Duration, err error) {
	if !c.wrongTries.Take("", wrongTriesOfAll).Taken {
		return wrongTriesPerAddress, nil
	}
	fromAddress, err := c.store.Count(ctx, "wrong-from:"+from, wrongTriesPerAddress)
	switch {
	case err != nil:
		return 0, errClaimsUnavailable
	case fromAddress > maxWrongTriesPerAddress:
		return wrongTriesPerAddress, nil
	}
	atClaim, err := c.store.Count(ctx, "wrong-at:"+id, wrongTriesPerClaimKept)
	switch {
	case err != nil:
		return 0, errClaimsUnavailable
	case atClaim > maxWrongTriesPerClaim:
		return wrongTriesPerClaimKept, nil
	}
	return 0, nil
}
