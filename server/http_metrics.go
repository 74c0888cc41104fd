package server

import "time"

// Metrics is told what happens, for whoever counts it. Its methods are called by
// many at once. What they are told comes out of closed sets.
type Metrics interface {
	// Request is told of an HTTP request when it ends: its path, "other" if it is
	// none of the server's own, and its status.
	Request(path string, status int)
	// Refused is told of a request that a limit refused: "user", "address",
	// "failures", "connections", "bodies" or "sessions".
	Refused(limit string)
	// Sessions is handed, once, what tells how many sessions are open.
	Sessions(open func() int)
	// ToolCall is told of calls of tools that there are not, as "other".
	ToolCall(tool, outcome string, took time.Duration)
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) Request(string, int)                    {}
func (noMetrics) Refused(string)                         {}
func (noMetrics) Sessions(func() int)                    {}
func (noMetrics) ToolCall(string, string, time.Duration) {}
