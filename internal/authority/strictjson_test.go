package authority

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What the strict decoder accepts, the standard one reads the same way.
func FuzzDecodeObject(f *testing.F) {
	for _, seed := range []string{`{"name": "x"}`, `{"name": "x", "expires_at": "y"}`, `{"n\u0061me": "\ud83d\udd11"}`, `{"name": "x", "name": "y"}`, `{"Name": 1}`, `[]`, `{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var name, expires string
		err := decodeObject(body,
			stringField("name", func(s string) error { name = s; return nil }),
			stringField("expires_at", func(s string) error { expires = s; return nil }))
		if err != nil {
			return
		}
		var want struct {
			Name    string `json:"name"`
			Expires string `json:"expires_at"`
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		if want.Name != name || want.Expires != expires {
			t.Errorf("%q was read as %q, %q and not as %+v", body, name, expires, want)
		}
	})
}
