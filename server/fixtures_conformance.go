//go:build conformance

package server

import "github.com/kenbun/kenbun-mcp/server/internal/conformance"

func init() { addFixtures = conformance.Add }
