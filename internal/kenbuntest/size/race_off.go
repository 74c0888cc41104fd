//go:build !race

package size

// RaceDetector reports whether the tests run with it, some ten times slower.
const RaceDetector = false
