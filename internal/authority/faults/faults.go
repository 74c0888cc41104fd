// Package faults makes requests fail on demand, to test how clients handle it.
package faults

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// maxLatency is less than clients wait.
const maxLatency = 20 * time.Second

// statuses are the failures that clients should handle by themselves.
var statuses = []int{
	http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// Plan says how many requests fail, and how. The zero value injects nothing.
type Plan struct {
	// Statuses are the shares of requests, from 0 to 1, that fail with a status: 429,
	// 500, 502, 503 or 504. 429 and 503 come with Retry-After.
	Statuses map[int]float64

	// DropAnswer is the share of requests that are carried out without an answer: the
	// connection is closed. Together with Statuses it is at most 1.
	DropAnswer float64

	// Latency is added to each request, at most 20 seconds.
	Latency time.Duration

	// Seed decides which requests are hit, always the same ones. Zero chooses one.
	Seed uint64
}

// Parse reads faults such as "503:10%", "latency:200ms" and "drop-answer:0.5%", each
// once. The error is a [*domain.InvalidError].
func Parse(specs []string) (Plan, error) {
	plan := Plan{Statuses: map[int]float64{}}
	var seen []string
	for _, spec := range specs {
		kind, value, _ := strings.Cut(spec, ":")
		if slices.Contains(seen, kind) {
			return Plan{}, invalid(spec, "repeats a kind: give each kind once")
		}
		seen = append(seen, kind)
		if err := plan.set(kind, value); err != nil {
			return Plan{}, invalid(spec, err.Error())
		}
	}
	if err := plan.Validate(); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

func invalid(spec, problem string) error {
	return &domain.InvalidError{Field: "fault", Problem: plaintext.QuoteShort(spec) + " " + problem}
}

func (p *Plan) set(kind, value string) (err error) {
	switch kind {
	case "latency":
		p.Latency, err = time.ParseDuration(value)
		if err != nil || p.Latency <= 0 || p.Latency > maxLatency {
			return fmt.Errorf("needs a time of at most %s, such as latency:200ms", maxLatency)
		}
		return nil
	case "drop-answer":
		p.DropAnswer, err = parseShare(value)
		return err
	}
	status, err := strconv.Atoi(kind)
	if err != nil || !slices.Contains(statuses, status) {
		return fmt.Errorf("is not a known kind: the kinds are latency, drop-answer and the statuses %s", strings.Trim(fmt.Sprint(statuses), "[]"))
	}
	p.Statuses[status], err = parseShare(value)
	return err
}

// parseShare reads a percentage.
func parseShare(s string) (float64, error) {
	digits, found := strings.CutSuffix(s, "%")
	percent, err := strconv.ParseFloat(digits, 64)
	// Refuses NaN, too.
	if !found || err != nil || !(percent > 0 && percent <= 100) {
		return 0, errors.New("needs a percentage above 0% and up to 100%, such as 5% or 0.5%")
	}
	return percent / 100, nil
}

// Validate returns a [*domain.InvalidError] for a plan that [Parse] would refuse.
func (p Plan) Validate() error {
	sum := p.DropAnswer
	for status, share := range p.Statuses {
		if !slices.Contains(statuses, status) || share < 0 {
			return &domain.InvalidError{Field: "fault", Problem: fmt.Sprintf("%d is not a status that can be injected", status)}
		}
		sum += share
	}
	// Tolerates rounding in sums such as that of ten tenths.
	if p.DropAnswer < 0 || sum > 1+1e-9 {
		return &domain.InvalidError{Field: "fault", Problem: "percentages add up to more than 100%"}
	}
	if p.Latency < 0 || p.Latency > maxLatency {
		return &domain.InvalidError{Field: "fault", Problem: fmt.Sprintf("latency must be at most %s", maxLatency)}
	}
	return nil
}

// none reports whether no request fails.
func (p Plan) none() bool { return len(p.Statuses) == 0 && p.DropAnswer == 0 && p.Latency == 0 }

// String writes f as [Parse] reads it, with a space between.
func (p Plan) String() string {
	var specs []string
	for _, status := range statuses {
		if share, given := p.Statuses[status]; given {
			specs = append(specs, fmt.Sprintf("%d:%s", status, percentage(share)))
		}
	}
	if p.DropAnswer > 0 {
		specs = append(specs, "drop-answer:"+percentage(p.DropAnswer))
	}
	if p.Latency > 0 {
		specs = append(specs, "latency:"+p.Latency.String())
	}
	return strings.Join(specs, " ")
}

func percentage(share float64) string { return strconv.FormatFloat(share*100, 'g', 6, 64) + "%" }

// Injector decides which requests fail. A nil Injector injects nothing.
type Injector struct {
	plan     Plan
	requests atomic.Uint64
}

// NewInjector returns nil for an empty plan, and logs any other plan as a warning.
func NewInjector(plan Plan, log *slog.Logger) *Injector {
	if plan.none() {
		return nil
	}
	for plan.Seed == 0 {
		var seed [8]byte
		_, _ = rand.Read(seed[:]) // ends the program rather than return an error
		plan.Seed = binary.BigEndian.Uint64(seed[:])
	}
	log.Warn("FAULTS ON DEMAND: requests are made to fail", slog.String("faults", plan.String()), slog.Uint64("seed", plan.Seed))
	return &Injector{plan: plan}
}

// Next returns the fate of the next request: a status to fail with, or 0, and whether
// its answer is dropped.
func (i *Injector) Next() (status int, drop bool) { return i.fate(i.requests.Add(1) - 1) }

// fate depends on the seed and n alone, so that a run can be repeated.
func (i *Injector) fate(n uint64) (status int, drop bool) {
	point := share(i.plan.Seed, n)
	for _, status := range statuses {
		if point -= i.plan.Statuses[status]; point < 0 {
			return status, false
		}
	}
	return 0, point < i.plan.DropAnswer
}

// share returns a number in [0, 1) that seed and n determine.
func share(seed, n uint64) float64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), n))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53) // as many bits as a float64 holds
}

// Delay waits for the plan's latency, and reports whether there is one.
func (i *Injector) Delay(ctx context.Context) (delayed bool, err error) {
	if i.plan.Latency == 0 {
		return false, nil
	}
	timer := time.NewTimer(i.plan.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, fmt.Errorf("wait as long as a fault asks for: %w", context.Cause(ctx))
	}
}
