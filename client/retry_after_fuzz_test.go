package client

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

// The API cannot have a call wait for ever or for less than nothing, and a
// Retry-After that RFC 9110 allows is understood.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	date := now.Format(http.TimeFormat)
	f.Add(503, "7", date, "")
	f.Add(429, "", date, "5")
	f.Add(429, "+5", date, strconv.FormatInt(now.Unix(), 10))
	f.Add(503, now.Add(time.Minute).Format(time.RFC850), date, "-1")
	f.Add(503, now.Add(-time.Minute).Format(time.ANSIC), "", "99999999999999999999")
	f.Add(503, "99999999999999999999", date, "9223372036854775807")
	f.Fuzz(func(t *testing.T, status int, after, dated, reset string) {
		header := http.Header{"Retry-After": {after}, "Date": {dated}, "X-Ratelimit-Reset": {reset}}
		wait, asked := retryAfter(status, header)
		if wait < 0 || wait > longestWait || (!asked && wait != 0 && wait != firstUnit) {
			t.Fatalf("it asks to wait %s (%t)", wait, asked)
		}
		if wait >= time.Second && longestWait+wait < wait {
			t.Fatalf("sums of %s overflow", wait)
		}
		written := strings.TrimSpace(after)
		if n, err := strconv.ParseFloat(written, 64); err == nil && n >= firstEpoch {
			return // a time, and not a wait
		}
		if wholeNumber.MatchString(written) {
			want := longestWait
			if n, err := strconv.ParseUint(written, 10, 64); err == nil && n < uint64(longestWait/time.Second) {
				want = time.Duration(n) * time.Second
			}
			if !asked || wait != want {
				t.Errorf("%q: %s (%t), want %s", after, wait, asked, want)
			}
			return
		}
		for _, form := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
			at, err := time.Parse(form, written)
			from, dateErr := http.ParseTime(dated)
			if err != nil || dateErr != nil {
				continue
			}
			if want := max(0, min(longestWait, at.Sub(from))); !asked || wait != want {
				t.Errorf("%q at %q: %s (%t), want %s", after, dated, wait, asked, want)
			}
			return
		}
	})
}
