package delivery_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Somebody who can write beside the folder exchanges it for a link to another
// folder of the same user, as fast as he can. Nothing may arrive there: what was
// looked at must be what is written to.
func TestR36_A44_ExchangingTheFolderForALinkGainsNothing(t *testing.T) {
	road, folder := roadInto(t, filepath.Join(t.TempDir(), "tokens"))
	mustMake(t, folder, 0o700)
	trap := filepath.Join(t.TempDir(), "trap")
	mustMake(t, trap, 0o700)
	link := folder + ".link"
	if err := os.Symlink(trap, link); err != nil {
		t.Fatal(err)
	}
	exchange := func() error {
		return unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
	}
	if err := exchange(); err != nil {
		kenbuntest.SkipUnlessRequired(t, "this file system cannot exchange two names at once: "+err.Error())
	}

	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := exchange(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	delivered, refused := 0, 0
	// At least a second, and until both have happened.
	began := time.Now()
	for time.Since(began) < time.Second || (delivered == 0 || refused == 0) && time.Since(began) < 20*time.Second {
		if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_"+strconv.Itoa(delivered+refused))); err != nil {
			refused++
		} else {
			delivered++
		}
	}
	close(stop)
	attacker.Wait()
	t.Logf("%d delivered, %d refused", delivered, refused)
	if delivered == 0 || refused == 0 {
		t.Errorf("%d delivered, %d refused: the attacker did not get into the way, so that nothing is shown", delivered, refused)
	}
	if got := entriesOf(t, trap); len(got) != 0 {
		t.Errorf("%d files went into the trap", len(got))
	}
}
