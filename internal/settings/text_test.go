package settings

import (
	"strings"
	"testing"
	"unicode/utf16"
)

func TestP14_TextIsReadInEachFormThatEditorsWrite(t *testing.T) {
	const text = "käse 🧀\r\nb"
	units := utf16.Encode([]rune(text))
	var little, big []byte
	for _, unit := range units {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	for name, content := range map[string]string{
		"UTF-8": text, "UTF-8 with a mark": "\uFEFF" + text, "UTF-16": "\xff\xfe" + string(little), "UTF-16, big endian": "\xfe\xff" + string(big),
		"UTF-16 without a mark": string(little), "UTF-16 without a mark, big endian": string(big),
	} {
		if got, err := Text([]byte(content)); err != nil || got != text {
			t.Errorf("%s is %q, %v", name, got, err)
		}
		lines, err := Lines([]byte(content))
		if err != nil || strings.Join(lines, "|") != "käse 🧀|b" {
			t.Errorf("the lines of %s are %q, %v", name, lines, err)
		}
	}
	for _, content := range []string{"\xff", "a\xe4", "\xff\xfea\x00b"} {
		if got, err := Text([]byte(content)); err == nil {
			t.Errorf("%q is %q", content, got)
		}
	}
	if got, err := Text(nil); err != nil || got != "" {
		t.Errorf("nothing is %q, %v", got, err)
	}
}

func TestP14_OnlyWhatShowsNothingIsTrimmed(t *testing.T) {
	for value, want := range map[string]string{
		" \t\r\n\v\fa\u00a0\u2003\u200b\u2060\ufeff\u00ad": "a", "a b": "a b", "a\u200bb": "a\u200bb", "\x00a\x7f": "\x00a\x7f", "\x1b[0ma": "\x1b[0ma", "\xffa": "\xffa", "": "", " ": "",
	} {
		if got := Trim(value); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}

func TestP14_PEMBeginsAtTheBeginningOfItsLine(t *testing.T) {
	const want = "# Zürich\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\n"
	for _, content := range []string{
		"\uFEFF# Zürich\r\n-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n",
		"# Zürich\n    -----BEGIN CERTIFICATE-----\n\tAAAA\u00a0\n\u200b-----END CERTIFICATE-----\n",
	} {
		if got := string(PEM([]byte(content))); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%q is %q", content, got)
		}
	}
	// Comments in another encoding are no fault.
	if got := string(PEM([]byte("# Z\xfcrich\n -----BEGIN CERTIFICATE-----\n"))); !strings.Contains(got, "\n-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("it is %q", got)
	}
}
