package domain

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// A time that is accepted is what the standard library's own reading of RFC 3339
// makes of it, has a year of four digits and is written and read back as the
// same instant.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2026-12-31T23:59:59Z", "2026-12-31T23:59:60Z", "2026-02-29T00:00:00Z", "2024-02-29T00:00:00+14:00", "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999-23:59", "2026-12-31t23:59:59z", "2026-12-31T9:00:00Z", "2026-12-31T09:00:00,5Z", "2026-12-31 09:00:00Z", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		accepted, err := ParseTime("expires_at", text)
		if err != nil {
			return
		}
		parsed := *accepted
		// The strict reading is that of encoding/json, since Go 1.20.
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want time.Time
		if err := want.UnmarshalJSON(quoted); err != nil || !want.Equal(parsed) {
			t.Errorf("%q was read as %s and not as %s, %v", text, parsed, want, err)
		}
		now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
		expires, err := validateExpiry(&parsed, now)
		if err != nil {
			return
		}
		if !expires.After(now) || expires.After(parsed) || parsed.Sub(*expires) >= time.Second {
			t.Errorf("%q ends at %s", text, expires)
		}
		written := expires.UTC().Format(time.RFC3339)
		if again, err := ParseTime("expires_at", written); err != nil || !again.Equal(*expires) {
			t.Errorf("%q is written as %s and read back as %s, %v", text, written, again, err)
		}
		if kept := time.UnixMicro(expires.UnixMicro()).UTC(); !kept.Equal(*expires) {
			t.Errorf("%q is kept as %s", text, kept)
		}
	})
}

// A name that is accepted can be shown in one line as it is, and comes back from
// JSON as it went.
func FuzzTokenName(f *testing.F) {
	for _, seed := range []string{"MCP Server - Work Laptop", "", " ", "a\nb", "\u202egnp.exe", "\u2066x", "\u2028", "\ufffd", "\ufdd0", "\xff", "🔑", strings.Repeat("é", 100), strings.Repeat("é", 101), "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if validateTokenName(name) != nil {
			return
		}
		if n := utf8.RuneCountInString(name); n < 1 || n > 100 || !utf8.ValidString(name) || strings.TrimSpace(name) == "" {
			t.Errorf("%q was accepted", name)
		}
		for _, r := range name {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Errorf("%q was accepted with %U", name, r)
			}
		}
		content, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(content, &back); err != nil || back != name {
			t.Errorf("%q comes back as %q, %v", name, back, err)
		}
	})
}

// Permissions that are accepted are those that were named, known and once each,
// and come back from the store as they went. What stands in the store is never
// more than it says, whatever it says.
func FuzzPermissions(f *testing.F) {
	for _, seed := range []string{"", "read:tokens", "read:tokens write:tokens", "write:tokens read:tokens read:leads", "read:tokens read:tokens", "Read:tokens", "read: tokens", "read:org-units\tread:leads", "read:everything", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names := strings.Split(text, " ")
		if set, err := ParsePermissions(names); err == nil {
			slices.Sort(names)
			if !slices.Equal(set.Names(), names) || !set.Within(KnownPermissions) || len(set) == 0 {
				t.Errorf("%q was read as %q", text, set)
			}
			if stored := StoredPermissions(set.String()); !slices.Equal(stored, set) || stored == nil {
				t.Errorf("%q comes back as %q", set, stored)
			}
		}
		stored := StoredPermissions(text)
		if stored == nil {
			t.Errorf("%q was read as not narrowed", text)
		}
		effective := KnownPermissions.Intersect(stored)
		if !effective.Within(KnownPermissions) || !effective.Within(stored) {
			t.Errorf("%q counts as %q", text, effective)
		}
		for _, p := range effective {
			if !slices.Contains(strings.Fields(text), string(p)) {
				t.Errorf("%q counts as %s, which it does not name", text, p)
			}
		}
	})
}
