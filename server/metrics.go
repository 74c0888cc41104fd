package server

import (
	"time"

	"github.com/kenbun/kenbun-mcp/server/edge"
)

// Metrics counts what happens. Its methods are called concurrently, with values
// from closed sets.
type Metrics interface {
	edge.Metrics
	// Sessions is called once, with a function that returns how many sessions are
	// open.
	Sessions(open func() int)
	// ToolCall counts calls of tools that do not exist, as "other".
	ToolCall(tool, outcome string, took time.Duration)
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) Request(string, int)                    {}
func (noMetrics) Refused(string)                         {}
func (noMetrics) Sessions(func() int)                    {}
func (noMetrics) ToolCall(string, string, time.Duration) {}
