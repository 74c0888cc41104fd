package rpc

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// The library's encoding is what counts.
func TestAResultIsEncodedAsTheLibraryDoes(t *testing.T) {
	full := mcp.NewToolResultStructured(map[string]any{"a": []int{1}, "<": "&\u2028"}, "text <b> \u2028")
	full.Meta = mcp.NewMetaFromMap(map[string]any{"k": "v", "progressToken": 3})
	full.ResultType, full.RequestState, full.IsError = mcp.ResultTypeComplete, "state", true
	full.InputRequests = mcp.InputRequests{"q": mcp.NewRootsInputRequest()}
	raw := mcp.NewToolResultText("x")
	raw.RawStructuredContent = []byte(`{"b": 1}`)
	filled := reflect.ValueOf(full).Elem()
	for i := range filled.NumField() {
		if name := filled.Type().Field(i).Name; filled.Field(i).IsZero() && name != "RawStructuredContent" {
			t.Errorf("%s is new in the library, and not in this test", name)
		}
	}
	for name, result := range map[string]*mcp.CallToolResult{
		"full": full, "raw": raw, "text": mcp.NewToolResultText("x"), "error": mcp.NewToolResultError("e"), "empty": {},
	} {
		answer := mcp.NewJSONRPCResultResponse(mcp.NewRequestId(json.RawMessage("7")), result)
		want, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Handler{}).Encode("", answer); string(got) != string(want) {
			t.Errorf("%s is encoded as\n%s\nand by the library as\n%s", name, got, want)
		}
	}
}
