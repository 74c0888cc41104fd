package rpc

import (
	"encoding/json"
	"maps"

	"github.com/mark3labs/mcp-go/mcp"
)

// dropUnused removes the parts of a client's introduction that have a wrong type.
// The server does not need them, and the library would refuse the whole message. A
// removed part counts as not declared. params are those of m.
func (m *Message) dropUnused(params map[string]json.RawMessage) {
	changed := false
	if m.Method == string(mcp.MethodInitialize) {
		changed = dropIntroduction(params, "capabilities", "clientInfo")
		if version, ok := params["protocolVersion"]; ok && !decodes[string](version) {
			delete(params, "protocolVersion")
			changed = true
		}
	}
	if meta, ok := params["_meta"]; ok && string(meta) != "null" && meta[0] != '{' {
		delete(params, "_meta")
		changed = true
	}
	if mcp.IsModernProtocol(m.Version) {
		meta := maps.Clone(m.Meta)
		if dropIntroduction(meta, mcp.MetaKeyClientCapabilities, mcp.MetaKeyClientInfo) {
			m.Meta, params["_meta"] = meta, write(meta)
			changed = true
		}
	}
	if changed {
		m.setParams(write(params))
	}
}

// setParams replaces the parameters of the message.
func (m *Message) setParams(params json.RawMessage) {
	m.Params = params
	members := map[string]json.RawMessage{"jsonrpc": write(mcp.JSONRPC_VERSION), "method": write(m.Method), "params": params}
	if len(m.ID) > 0 {
		members["id"] = m.ID
	}
	m.Text = write(members)
}

// dropIntroduction removes malformed capabilities and a malformed name and version
// of a client from members, and reports whether there were any.
func dropIntroduction(members map[string]json.RawMessage, capabilities, info string) (changed bool) {
	if declared, ok := members[capabilities]; ok && !decodes[mcp.ClientCapabilities](declared) {
		members[capabilities] = write(usable(declared))
		changed = true
	}
	if named, ok := members[info]; ok && !decodes[mcp.Implementation](named) {
		delete(members, info)
		changed = true
	}
	return changed
}

// usable returns the well-formed capabilities.
func usable(declared json.RawMessage) map[string]json.RawMessage {
	each := map[string]json.RawMessage{}
	_ = json.Unmarshal(declared, &each) // what is not an object declares nothing
	maps.DeleteFunc(each, func(name string, value json.RawMessage) bool {
		return !decodes[mcp.ClientCapabilities](write(map[string]json.RawMessage{name: value}))
	})
	if each == nil {
		each = map[string]json.RawMessage{}
	}
	return each
}

func decodes[T any](text json.RawMessage) bool {
	var v T
	return json.Unmarshal(text, &v) == nil
}

// write returns v as JSON.
func write(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was made of text that is JSON
	}
	return text
}
