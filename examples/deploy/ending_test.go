//go:build linux

package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// TestReplica_AtItsEndAnswersWhoIsConnected has connections come faster than
// they are accepted when a replica is told to end.
func TestReplica_AtItsEndAnswersWhoIsConnected(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	d.startRedis(t)
	replica := d.startReplica(t, "replica1", "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=warn")
	var answered, refused atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for {
				switch err := askOnce(d.replica1); {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, errNoConnection):
					refused.Add(1)
					return
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	waitUntil(t, "it answers", func() bool { return answered.Load() > 1000 })
	replica.signal(t, syscall.SIGTERM)
	all.Wait()
	<-replica.ended
	if refused.Load() == 0 || replica.ProcessState.ExitCode() != 0 {
		t.Errorf("%d were refused, and it ended with %d", refused.Load(), replica.ProcessState.ExitCode())
	}
	t.Logf("%d answered, %d refused", answered.Load(), refused.Load())
}

var errNoConnection = errors.New("no connection was made")

// askOnce asks for the health on a connection of its own.
func askOnce(socket string) error {
	connection, err := net.DialTimeout("unix", socket, patience)
	if err != nil {
		return errors.Join(errNoConnection, err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(connection, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return fmt.Errorf("a request could not be sent: %w", err)
	}
	answer, err := io.ReadAll(connection)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		err = fmt.Errorf("a request was answered with %q", answer)
	}
	return err
}
