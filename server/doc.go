// Package server is the MCP server: who is calling, which tools are on offer,
// and the transports stdio and streamable HTTP.
//
// Both eras of the protocol are served on both transports: the stateless
// 2026-07-28, and those before it with their initialize handshake, down to
// 2024-11-05.
package server
