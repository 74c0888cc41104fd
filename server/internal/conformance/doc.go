// Package conformance has the tools, prompts and resources that the MCP conformance
// suite calls by name. They stand beside the real tools, behind the same transports,
// which are what the suite tests (script/conformance). The package is empty in builds
// without the tag conformance.
package conformance
