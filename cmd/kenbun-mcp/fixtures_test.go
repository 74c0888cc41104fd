package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// TestTheProgramHoldsNothingOfTheConformanceSuite looks for what only a build
// with the tag conformance may have.
func TestTheProgramHoldsNothingOfTheConformanceSuite(t *testing.T) {
	program, err := os.ReadFile(kenbuntest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test_simple_text", "test_simple_prompt", "test://static-text"} {
		if bytes.Contains(program, []byte(name)) {
			t.Errorf("the program has %s in it", name)
		}
	}

	got := runProgram(t, kenbuntest.Environment(t), initialize+`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`+"\n", "stdio", "--embedded")
	byID := answers(t, got.stdout)
	var greeting struct {
		Capabilities json.RawMessage `json:"capabilities"`
	}
	if err := json.Unmarshal(byID["1"], &greeting); err != nil || string(greeting.Capabilities) != `{"tools":{}}` {
		t.Errorf("the server offers %s, %v", greeting.Capabilities, err)
	}
	var list struct {
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(byID["2"], &list); err != nil {
		t.Fatalf("tools/list: %v: %s", err, byID["2"])
	}
	ours := map[string]bool{}
	for _, tool := range tools.Tools(toolsets.All()) {
		ours[tool.Name] = true
	}
	for _, tool := range list.Tools {
		if !ours[tool.Name] {
			t.Errorf("%s is listed", tool.Name)
		}
	}
	if len(list.Tools) != len(ours) {
		t.Errorf("%d tools are listed, want %d", len(list.Tools), len(ours))
	}
}
