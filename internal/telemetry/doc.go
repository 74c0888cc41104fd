// Package telemetry tells operators what the server does: metrics in the format
// of Prometheus, and traces over OTLP.
//
// Nothing that a client, a person or the API wrote becomes a label, an attribute
// or a name. What is told comes out of closed sets, and what is not in its set is
// told as "other". Package server and package tools know of none of this; they
// call the small interfaces that they declare.
package telemetry
