package tokens

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

func cursorAfter(token *client.Token, filter Filter) string {
	return tools.Cursor(position{token.CreatedAt, token.ID}, filter)
}

func parseCursor(text string, filter Filter) (*client.Token, error) {
	after, err := tools.Position[position](tools.Arguments{"cursor": text}, "list_tokens", filter)
	if after == nil {
		return nil, err
	}
	return &client.Token{ID: after.ID, CreatedAt: after.CreatedAt}, err
}

// A cursor is read back as it was given out, for the same filter. Whatever else
// is accepted would have been given out, too.
func FuzzA38_Cursors(f *testing.F) {
	at := time.Date(2026, 3, 28, 10, 0, 0, 123456789, time.UTC)
	filter := Filter{Status: "active", Name: "import"}
	f.Add("", "pat_abc123", int64(0), int32(0), "a", 1)
	f.Add(cursorAfter(&client.Token{ID: "pat_1", CreatedAt: at}, filter), "x", at.UnixNano(), int32(3600), "import", 0)
	f.Add("eyJpIjoieCJ9", strings.Repeat("a", 64), int64(-1), int32(-1), "\u202e", -5)
	f.Fuzz(func(t *testing.T, text, id string, nanos int64, zone int32, name string, days int) {
		for _, filter := range []Filter{filter, {Name: name, UnusedDays: days}} {
			token, err := parseCursor(text, filter)
			switch {
			case err != nil:
				var problem *tools.Error
				if token != nil || !errors.As(err, &problem) || problem.Code != tools.CodeInvalidArgument {
					t.Fatalf("%q: %v, %v", text, token, err)
				}
			case text == "":
				if token != nil {
					t.Fatalf("no cursor became %v", token)
				}
			case cursorAfter(token, filter) != text:
				t.Fatalf("%q was accepted, which would have been %q", text, cursorAfter(token, filter))
			}
		}

		if id = strings.ToValidUTF8(id, ""); id == "" || len(id) > 64 {
			return
		}
		filter := Filter{Name: strings.ToValidUTF8(name, ""), UnusedDays: days}
		token := &client.Token{ID: id, CreatedAt: time.Unix(0, nanos).In(time.FixedZone("", int(zone)%(12*3600)/60*60))}
		cursor := cursorAfter(token, filter)
		got, err := parseCursor(cursor, filter)
		if err != nil || got.ID != id || !got.CreatedAt.Equal(token.CreatedAt) {
			t.Fatalf("%q became %v, %v", cursor, got, err)
		}
		if len(cursor) > 500 && len(id)*6 < 300 {
			t.Errorf("the cursor after an id of %d bytes has %d", len(id), len(cursor))
		}
		plain, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []string{
			cursor + "\n", cursor[:1] + "\r\n" + cursor[1:], cursor + "=",
			base64.RawURLEncoding.EncodeToString(append([]byte(" "), plain...)),
			base64.RawURLEncoding.EncodeToString(bytes.Replace(plain, []byte("{"), []byte(`{"x":1,`), 1)),
			base64.RawURLEncoding.EncodeToString(bytes.Replace(plain, []byte(`"i"`), []byte(`"I"`), 1)),
		} {
			if _, err := parseCursor(again, filter); err == nil {
				t.Fatalf("%q was accepted in the place of %q", again, cursor)
			}
		}
		other := filter
		other.UnusedDays++
		if _, err := parseCursor(cursor, other); err == nil {
			t.Error("the cursor of another list was accepted")
		}
	})
}
