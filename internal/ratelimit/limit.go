// Package ratelimit holds token buckets: how often somebody may do something,
// counted in the memory of one process or in a store that several share.
package ratelimit

import "time"

// Limit is the size of a bucket and how fast it fills.
type Limit struct {
	// Burst is how many tokens a full bucket holds. At least 1.
	Burst int
	// Interval is the time in which one token comes back. More than 0.
	Interval time.Duration
}

// PerMinute is n in a minute, of which a sixth, and at least ten, may come at
// once. n has to be more than 0.
func PerMinute(n int) Limit {
	return Limit{Burst: max(n/6, 10), Interval: time.Minute / time.Duration(n)}
}

// FillTime is the time in which an empty bucket is full.
func (l Limit) FillTime() time.Duration { return time.Duration(l.Burst) * l.Interval }

// Level is what is in a bucket after something was taken, or was not.
type Level struct {
	// Taken reports whether there was a token to take.
	Taken bool
	// Remaining is how many tokens are left.
	Remaining int
	// Wait is the time until there is a token, 0 if there is one now.
	Wait time.Duration
	// Full is the time until the bucket is full, if nothing more is taken.
	Full time.Duration
}

// At is the level of a bucket that lacks the tokens of the time missing, and
// from which a token was taken or not.
//
// A bucket is one number, the time at which it is full again (the generic cell
// rate algorithm); missing is how far away that is.
func (l Limit) At(missing time.Duration, taken bool) Level {
	level := Level{Taken: taken, Full: missing}
	if left := l.FillTime() - missing; left >= l.Interval {
		level.Remaining = int(left / l.Interval)
	} else {
		level.Wait = l.Interval - left
	}
	return level
}

// take takes a token from a bucket that is full at the time full.
func (l Limit) take(full, now time.Time) (time.Time, Level) {
	if full.Before(now) {
		full = now
	}
	missing := full.Sub(now)
	if missing+l.Interval > l.FillTime() {
		return full, l.At(missing, false)
	}
	return full.Add(l.Interval), l.At(missing+l.Interval, true)
}
