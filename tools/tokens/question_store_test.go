package tokens_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// withoutSilence lets a test ask about the same target again. Open questions
// count as ever.
func withoutSilence(c *toolsets.Config) { c.Shared = noSilence{approval.NewMemory()} }

// noSilence is a store that forgets which targets are silent.
type noSilence struct{ *approval.Memory }

func (s noSilence) Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	var record map[string]json.RawMessage
	if json.Unmarshal(next, &record) == nil {
		delete(record, "s")
		stored, err := json.Marshal(record)
		if err != nil {
			return false, err
		}
		next = stored
	}
	return s.Memory.Swap(ctx, key, old, next, keep)
}
