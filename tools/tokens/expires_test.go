package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func TestN1_A2_ExpiryIsReadAsWritten(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"1d":                        now.AddDate(0, 0, 1),
		"7d":                        now.AddDate(0, 0, 7),
		"30d":                       now.AddDate(0, 0, 30),
		"36500d":                    now.Add(36500 * 24 * time.Hour),
		"2026-03-28T10:00:01Z":      now.Add(time.Second),
		"2027-01-01T00:00:00+05:30": time.Date(2026, 12, 31, 18, 30, 0, 0, time.UTC),
		"2027-01-01T00:00:00.9Z":    time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59Z":      time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		got, err := tokens.ParseExpires(text, now)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q is read as %v, want %v", text, got, want)
		}
	}
	if got, err := tokens.ParseExpires("never", now); err != nil || got != nil {
		t.Errorf(`"never" is read as %v, %v`, got, err)
	}
}

// Daylight saving must not lengthen or shorten a day.
func TestA36_DaysAreCountedToTheSecond(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		zone = time.FixedZone("CET", 3600)
	}
	now := time.Date(2026, 3, 28, 12, 0, 0, 999, zone) // the night before the clocks go forward
	got, err := tokens.ParseExpires("2d", now)
	if err != nil {
		t.Fatal(err)
	}
	if want := now.Add(48 * time.Hour).Truncate(time.Second); !got.Equal(want) {
		t.Errorf("2d is %v, want %v", got, want)
	}
}

func TestR9_A2_A37_NoExpiryMeansNeverByAccident(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for text, hint := range map[string]string{
		"":                           `"7d" or "30d"`,
		" ":                          `"7d" or "30d"`,
		"0":                          `"7d" or "30d"`,
		"0d":                         `at least "1d"`,
		"000d":                       `at least "1d"`,
		"-1d":                        "in the future",
		"-1":                         "in the future",
		"30":                         `write "30d"`,
		"30D":                        `Write it as "30d"`,
		" 30d ":                      `Write it as "30d"`,
		"30 d":                       `"7d" or "30d"`,
		"1.5d":                       `"7d" or "30d"`,
		"+7d":                        `"7d" or "30d"`,
		"٣d":                         `"7d" or "30d"`,
		"7d\n":                       `Write it as "7d"`,
		"36501d":                     "36500 days",
		"9223372036854775807d":       "36500 days",
		"99999999999999999999999d":   "36500 days",
		"Never":                      `Write it as "never"`,
		"NEVER":                      `Write it as "never"`,
		"none":                       `"7d" or "30d"`,
		"null":                       `"7d" or "30d"`,
		"30m":                        `"7d" or "30d"`,
		"12h":                        `"7d" or "30d"`,
		"2026-03-28T10:00:00Z":       "It is now", // this very moment
		"2026-03-28T10:00:00.9Z":     "It is now",
		"2020-01-01T00:00:00Z":       "It is now",
		"0000-01-01T00:00:00Z":       "It is now",
		"2027-01-01":                 `write "2027-01-01T00:00:00Z"`,
		"2027-01-01T10:00":           `write "2027-01-01T10:00:00Z"`,
		"2027-01-01T10:00:00":        `write "2027-01-01T10:00:00Z"`,
		"2027-01-01 10:00:00":        `write "2027-01-01T10:00:00Z"`,
		"2027-02-30T00:00:00Z":       `"7d" or "30d"`,
		"10000-01-01T00:00:00Z":      `"7d" or "30d"`,
		"9999-12-31T23:59:59-01:00":  "year 9999",
		"2027-01-01T00:00:00Z extra": `"7d" or "30d"`,
	} {
		at, err := tokens.ParseExpires(text, now)
		var refusal *tools.Error
		if !errors.As(err, &refusal) || refusal.Code != tools.CodeInvalidArgument {
			t.Errorf("%q is read as %v, %v, want invalid_argument", text, at, err)
			continue
		}
		if !strings.Contains(strings.ToLower(refusal.Text()), strings.ToLower(hint)) {
			t.Errorf("%q: the error does not say %q: %q", text, hint, refusal.Text())
		}
	}
}

func FuzzR9_ParseExpires(f *testing.F) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for _, seed := range []string{"7d", "never", "2027-01-01T00:00:00Z", "-1d", "99999999999d", "9999-12-31T23:59:59-23:59"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := tokens.ParseExpires(text, now)
		switch {
		case err != nil:
			var refusal *tools.Error
			if !errors.As(err, &refusal) || refusal.Code != tools.CodeInvalidArgument || refusal.Next == "" {
				t.Errorf("%q: %v does not teach", text, err)
			}
		case at == nil && text != "never":
			t.Errorf("%q means never", text)
		case at != nil && (!at.After(now) || at.Year() > 9999 || at.Nanosecond() != 0 || at.Location() != time.UTC):
			t.Errorf("%q is read as %v", text, at)
		}
	})
}
