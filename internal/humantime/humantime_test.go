package humantime

import (
	"testing"
	"time"
)

func TestRelative(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		d           time.Duration
		long, short string
	}{
		{0, "now", "now"},
		{59 * time.Second, "now", "now"},
		{-59 * time.Second, "now", "now"},
		{time.Minute, "in 1 minute", "in 1m"},
		{-time.Minute, "1 minute ago", "1m ago"},
		{-80 * time.Minute, "1 hour ago", "1h ago"},
		{-100 * time.Minute, "2 hours ago", "2h ago"},
		{22*time.Hour + 40*time.Minute, "in 23 hours", "in 23h"},
		{24 * time.Hour, "in 1 day", "in 1d"},
		{30*24*time.Hour - time.Second, "in 30 days", "in 30d"},
		{12*24*time.Hour + 11*time.Hour, "in 12 days", "in 12d"},
		{-400 * 24 * time.Hour, "400 days ago", "400d ago"},
		{3 * 365 * 24 * time.Hour, "in 3 years", "in 3y"},
	} {
		if got := Relative(now.Add(tc.d), now); got != tc.long {
			t.Errorf("Relative(%s) = %q, want %q", tc.d, got, tc.long)
		}
		if got := Short(now.Add(tc.d), now); got != tc.short {
			t.Errorf("Short(%s) = %q, want %q", tc.d, got, tc.short)
		}
	}
}
