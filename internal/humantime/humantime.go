// Package humantime says times as people say them: "in 12 days", "3 hours ago".
package humantime

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// Relative tells t as seen from now: "in 12 days", "3 hours ago", "now". A
// moment less than a minute away is "now". Units are whole and rounded.
func Relative(t, now time.Time) string {
	if years := farYears(t, now); years > 0 {
		return fmt.Sprintf("in %d years", years)
	} else if years < 0 {
		return fmt.Sprintf("%d years ago", -years)
	}
	d := t.Sub(now)
	if d < 0 {
		if d > -time.Minute {
			return "now"
		}
		return Span(-d) + " ago"
	}
	if d < time.Minute {
		return "now"
	}
	return "in " + Span(d)
}

// farYears returns how many years lie between two times that are too far apart for
// a Duration, 0 for all others.
func farYears(t, now time.Time) int {
	if years := t.UTC().Year() - now.UTC().Year(); years > 200 || years < -200 {
		return years
	}
	return 0
}

// Span tells d in its largest whole unit, rounded: "45 seconds", "2 hours",
// "12 days", "3 years". Days go up to two years, since tokens are reckoned in
// days.
func Span(d time.Duration) string {
	n, u := largestUnit(d)
	if n == 1 {
		return "1 " + u.name
	}
	return fmt.Sprintf("%d %ss", n, u.name)
}

// Short is Relative for narrow columns: "in 12d", "3h ago", "now".
func Short(t, now time.Time) string {
	if years := farYears(t, now); years > 0 {
		return fmt.Sprintf("in %dy", years)
	} else if years < 0 {
		return fmt.Sprintf("%dy ago", -years)
	}
	d := t.Sub(now)
	switch {
	case d > -time.Minute && d < time.Minute:
		return "now"
	case d < 0:
		return shortSpan(-d) + " ago"
	default:
		return "in " + shortSpan(d)
	}
}

func shortSpan(d time.Duration) string {
	n, u := largestUnit(d)
	return fmt.Sprintf("%d%s", n, u.short)
}

type unit struct {
	length      time.Duration
	name, short string
}

// units are from large to small; each is used from as many of it as from says.
var units = []struct {
	unit
	from int64
}{
	{unit{365 * day, "year", "y"}, 2},
	{unit{day, "day", "d"}, 1},
	{unit{time.Hour, "hour", "h"}, 1},
	{unit{time.Minute, "minute", "m"}, 1},
	{unit{time.Second, "second", "s"}, 0},
}

func largestUnit(d time.Duration) (int64, unit) {
	for _, u := range units {
		if n := int64(d.Round(u.length) / u.length); n >= u.from && d >= u.length {
			return n, u.unit
		}
	}
	return int64(d.Round(time.Second) / time.Second), units[len(units)-1].unit
}

// Days is Span in days, if d is a whole number of them.
func Days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		if d == 24*time.Hour {
			return "1 day"
		}
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return Span(d)
}
