// Package state keeps what several replicas of a server have to agree about for
// a short while: secrets that wait to be fetched, answers that count once, and
// how often somebody tried. It is kept in the memory of one process or in
// Redis.
package state
