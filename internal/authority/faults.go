package authority

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// faultInjector makes requests fail on demand.
type faultInjector struct {
	faults   Faults
	requests atomic.Uint64
}

// newFaultInjector returns nil where nothing shall go wrong. What shall is said
// loudly: somebody else will look for the cause.
func newFaultInjector(faults Faults, log *slog.Logger) *faultInjector {
	if faults.none() {
		return nil
	}
	for faults.Seed == 0 {
		var seed [8]byte
		_, _ = rand.Read(seed[:]) // ends the program rather than return an error
		faults.Seed = binary.BigEndian.Uint64(seed[:])
	}
	log.Warn("FAULTS ON DEMAND: requests are made to fail", slog.String("faults", faults.String()), slog.Uint64("seed", faults.Seed))
	return &faultInjector{faults: faults}
}

const dropAnswer = "drop-answer"

// fate is what becomes of the nth request: a status to fail with, 0 for none,
// and whether its answer is dropped. It depends on the seed and on n alone, so
// that a run can be had again.
func (i *faultInjector) fate(n uint64) (status int, drop bool) {
	point := share(i.faults.Seed, n)
	for _, status := range faultStatuses {
		if point -= i.faults.Statuses[status]; point < 0 {
			return status, false
		}
	}
	return 0, point < i.faults.DropAnswer
}

// share is a number from 0 up to 1 that seed and n determine.
func share(seed, n uint64) float64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), n))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53) // as many bits as a float64 holds
}

// meet lets the next request meet its fate: it waits, returns the failure that
// the request is answered with, or has its answer dropped.
func (i *faultInjector) meet(ex *exchange, r *http.Request) error {
	if i == nil || ex.pattern == healthPath {
		return nil
	}
	status, drop := i.fate(i.requests.Add(1) - 1)
	if err := i.holdBack(ex, r); err != nil {
		return err
	}
	switch {
	case status != 0:
		ex.fault = fmt.Sprint(status)
		return faultProblem(status)
	case drop:
		ex.fault = dropAnswer
		ex.ResponseWriter = &unsent{header: ex.Header()}
	}
	return nil
}

// holdBack waits as long as is asked for, and has the time for the body and for
// the answer begin after that.
func (i *faultInjector) holdBack(ex *exchange, r *http.Request) error {
	if i.faults.Latency == 0 {
		return nil
	}
	timer := time.NewTimer(i.faults.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return fmt.Errorf("wait as long as a fault asks for: %w", context.Cause(r.Context()))
	}
	now, connection := time.Now(), http.NewResponseController(ex)
	err := connection.SetWriteDeadline(now.Add(writeTimeout))
	if r.Body != http.NoBody { // without one a late read would look like a caller who has gone
		err = errors.Join(err, connection.SetReadDeadline(now.Add(readTimeout)))
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("go on after a fault: %w", err)
	}
	return nil
}

// faultProblem has the form of the real thing, and says that it is none to
// whoever reads its message.
func faultProblem(status int) *problem {
	p := &problem{status: status, code: "internal", message: "this failure was asked for when the service was started: nothing was changed"}
	switch status {
	case http.StatusTooManyRequests:
		p.code = "rate_limited"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		p.code = "unavailable"
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		p.header = http.Header{"Retry-After": {"1"}}
	}
	return p
}

// unsent takes an answer that nobody gets.
type unsent struct{ header http.Header }

func (u *unsent) Header() http.Header         { return u.header }
func (u *unsent) Write(p []byte) (int, error) { return len(p), nil }
func (u *unsent) WriteHeader(int)             {}
