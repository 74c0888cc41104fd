package human

import (
	"context"
	"time"
)

// Bounds of tries that did not lead to a claim of who tried. Who is right is
// never kept waiting.
const (
	maxWrongTriesPerClaim   = 5
	wrongTriesPerClaimKept  = 10 * time.Minute
	maxWrongTriesPerAddress = 20
	wrongTriesPerAddress    = time.Minute
)

// WrongTry counts a try to fetch a claim that failed with [ErrNoClaim], from
// the network address from. It returns how long whoever tries has to be kept
// off; zero while there were few. Unknown ids count like known ones.
func (c *Claims) WrongTry(ctx context.Context, id, from string) (wait time.Duration, err error) {
	atClaim, err := c.store.Count(ctx, "wrong-at:"+id, wrongTriesPerClaimKept)
	if err != nil {
		return 0, errClaimsUnavailable
	}
	fromAddress, err := c.store.Count(ctx, "wrong-from:"+from, wrongTriesPerAddress)
	switch {
	case err != nil:
		return 0, errClaimsUnavailable
	case atClaim > maxWrongTriesPerClaim:
		return wrongTriesPerClaimKept, nil
	case fromAddress > maxWrongTriesPerAddress:
		return wrongTriesPerAddress, nil
	}
	return 0, nil
}
