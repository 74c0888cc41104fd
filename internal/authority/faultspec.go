package authority

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxFaultLatency stays below what a client waits for.
const maxFaultLatency = 20 * time.Second

// faultStatuses are the refusals and failures that can be asked for: those that
// clients should get over by themselves.
var faultStatuses = []int{
	http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// Faults are what an authority gets wrong on demand, for people who test what
// their automation makes of it. The zero value is none.
type Faults struct {
	// Statuses are the shares of requests, from 0 to 1, that are answered with
	// a status and do nothing: 429, 500, 502, 503 or 504. 429 and 503 come with
	// Retry-After.
	Statuses map[int]float64

	// DropAnswer is the share of requests that are carried out and not
	// answered: the connection is closed in place of the answer. Together with
	// Statuses it is at most 1.
	DropAnswer float64

	// Latency is added to each request, at most 20 seconds.
	Latency time.Duration

	// Seed decides which requests are hit: with the same seed, the nth request
	// after the start always has the same fate. Zero chooses one.
	Seed uint64
}

// ParseFaults reads faults such as "503:10%", "latency:200ms" and
// "drop-answer:0.5%", each kind once. It returns an [*InvalidError] for anything
// else.
func ParseFaults(specs []string) (Faults, error) {
	faults := Faults{Statuses: map[int]float64{}}
	var seen []string
	for _, spec := range specs {
		kind, value, _ := strings.Cut(spec, ":")
		if slices.Contains(seen, kind) {
			return Faults{}, faultError(spec, "comes after another of its kind: give each kind once")
		}
		seen = append(seen, kind)
		if err := faults.set(kind, value); err != nil {
			return Faults{}, faultError(spec, err.Error())
		}
	}
	if err := faults.validate(); err != nil {
		return Faults{}, err
	}
	return faults, nil
}

func faultError(spec, problem string) error {
	return &InvalidError{Field: "fault", Problem: quoteShort(spec) + " " + problem}
}

func (f *Faults) set(kind, value string) (err error) {
	switch kind {
	case "latency":
		f.Latency, err = time.ParseDuration(value)
		if err != nil || f.Latency <= 0 || f.Latency > maxFaultLatency {
			return fmt.Errorf("needs a time of at most %s, such as latency:200ms", maxFaultLatency)
		}
		return nil
	case "drop-answer":
		f.DropAnswer, err = parseShare(value)
		return err
	}
	status, err := strconv.Atoi(kind)
	if err != nil || !slices.Contains(faultStatuses, status) {
		return fmt.Errorf("is of no kind that is known here: the kinds are latency, drop-answer and the statuses %s", strings.Trim(fmt.Sprint(faultStatuses), "[]"))
	}
	f.Statuses[status], err = parseShare(value)
	return err
}

// parseShare reads a percentage.
func parseShare(s string) (float64, error) {
	digits, found := strings.CutSuffix(s, "%")
	percent, err := strconv.ParseFloat(digits, 64)
	// Written so that not-a-number is refused too.
	if !found || err != nil || !(percent > 0 && percent <= 100) {
		return 0, errors.New("needs a percentage above 0% and up to 100%, such as 5% or 0.5%")
	}
	return percent / 100, nil
}

func (f Faults) validate() error {
	sum := f.DropAnswer
	for status, share := range f.Statuses {
		if !slices.Contains(faultStatuses, status) || share < 0 {
			return &InvalidError{Field: "fault", Problem: fmt.Sprintf("%d is none that can be asked for", status)}
		}
		sum += share
	}
	// A hair more than 1, for sums such as that of 10 tenths.
	if f.DropAnswer < 0 || sum > 1+1e-9 {
		return &InvalidError{Field: "fault", Problem: "percentages add up to more than 100%"}
	}
	if f.Latency < 0 || f.Latency > maxFaultLatency {
		return &InvalidError{Field: "fault", Problem: fmt.Sprintf("latency must be at most %s", maxFaultLatency)}
	}
	return nil
}

// none tells whether nothing goes wrong on demand.
func (f Faults) none() bool { return len(f.Statuses) == 0 && f.DropAnswer == 0 && f.Latency == 0 }

// String writes f as [ParseFaults] reads it, with a space between.
func (f Faults) String() string {
	var specs []string
	for _, status := range faultStatuses {
		if share, given := f.Statuses[status]; given {
			specs = append(specs, fmt.Sprintf("%d:%s", status, percentage(share)))
		}
	}
	if f.DropAnswer > 0 {
		specs = append(specs, "drop-answer:"+percentage(f.DropAnswer))
	}
	if f.Latency > 0 {
		specs = append(specs, "latency:"+f.Latency.String())
	}
	return strings.Join(specs, " ")
}

func percentage(share float64) string { return strconv.FormatFloat(share*100, 'g', 6, 64) + "%" }
