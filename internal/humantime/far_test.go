package humantime

import (
	"testing"
	"time"
)

func TestP27_AgesDoNotOverflow(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for year, want := range map[int][2]string{
		3000: {"in 974 years", "in 974y"}, 9998: {"in 7972 years", "in 7972y"}, 1: {"2025 years ago", "2025y ago"}, 2226: {"in 200 years", "in 200y"},
	} {
		at := time.Date(year, 3, 28, 10, 0, 0, 0, time.UTC)
		if got := [2]string{Relative(at, now), Short(at, now)}; got != want {
			t.Errorf("%d: %q, want %q", year, got, want)
		}
	}
}
