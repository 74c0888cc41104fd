package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"
)

// What the strict decoder accepts, the standard one reads the same way, to the
// end.
func FuzzDecodeObject(f *testing.F) {
	for _, seed := range []string{
		`{"name": "x"}`, `{"name": "x", "expires_at": "y"}`, `{"n\u0061me": "\ud83d\udd11"}`, `{"name": "x", "name": "y"}`, `{"Name": 1}`,
		`{"expires_at": null, "permissions": ["read:tokens", "x"]}`, `{"permissions": []}`, `{"permissions": [["x"]]}`, `{"permissions": [null]}`,
		`{"name": "\ud83d"}`, `{} {}`, `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	type wanted struct {
		Name        string   `json:"name"`
		Expires     *string  `json:"expires_at"`
		Permissions []string `json:"permissions"`
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got wanted
		err := decodeObject(body,
			stringField("name", func(s string) error { got.Name = s; return nil }),
			nullable(stringField("expires_at", func(s string) error { got.Expires = &s; return nil }), func() { got.Expires = nil }),
			stringsField("permissions", func(s []string) error { got.Permissions = s; return nil }))
		if err != nil {
			return
		}
		var want wanted
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			t.Errorf("%q was accepted with something after the object: %v", body, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q was read as %+v and not as %+v", body, got, want)
		}
	})
}
