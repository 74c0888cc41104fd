//go:build !race

package server_test

// raceDetector tells that the tests run with it, some ten times slower.
const raceDetector = false
