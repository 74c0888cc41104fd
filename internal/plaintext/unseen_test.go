package plaintext_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/names"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

func TestP29_EveryEmojiIsSeenAndKept(t *testing.T) {
	all := names.Emoji()
	if len(all) < 5000 {
		t.Fatalf("only %d emoji", len(all))
	}
	for _, emoji := range all {
		name := "a" + emoji + emoji + "b"
		if unseen, found := plaintext.FindUnseen(name); found {
			t.Errorf("%+q is refused: %v", emoji, unseen)
		}
		if got := plaintext.Clean(name, 100); got != name {
			t.Errorf("%+q is shown as %+q", name, got)
		}
		if got := plaintext.Quote(name); got != `"`+name+`"` {
			t.Errorf("%+q is quoted as %s", name, got)
		}
	}
}

// Of what joiners and skin tones could make, only what the data lists is taken.
func TestP29_NoOtherEmojiIsJoined(t *testing.T) {
	all := names.Emoji()
	const joiner = "\u200d"
	listed := map[string]bool{}
	var elements []string
	for _, emoji := range all {
		listed[strings.ReplaceAll(emoji, "\ufe0f", "")] = true
		for element := range strings.SplitSeq(emoji, joiner) {
			if strings.Contains(emoji, joiner) && !slices.Contains(elements, element) {
				elements = append(elements, element)
			}
		}
	}
	for _, first := range elements {
		for _, second := range elements {
			name := first + joiner + second
			if got := plaintext.Visible(name); got != listed[strings.ReplaceAll(name, "\ufe0f", "")] {
				t.Errorf("%+q: taken %v", name, got)
			}
		}
	}
	for _, emoji := range all {
		for _, name := range []string{emoji + joiner, joiner + emoji, emoji + "\U000E0041", emoji + "\ufe0f\ufe0f", emoji + "\u200c", emoji + "\U000E0100"} {
			if plaintext.Visible(name) {
				t.Errorf("%+q is taken", name)
			}
		}
	}
}

func TestP29_LivingScriptsAreSeenAndKept(t *testing.T) {
	for label, name := range names.Living {
		if unseen, found := plaintext.FindUnseen(name); found {
			t.Errorf("%s, %+q, is refused: %v", label, name, unseen)
		}
		if got := plaintext.Clean(name, 100); got != name {
			t.Errorf("%s, %+q, is shown as %+q", label, name, got)
		}
	}
}

func TestP29_WhatIsNotSeenIsNamedWithItsPlace(t *testing.T) {
	for label, refused := range names.RefusedNames {
		unseen, found := plaintext.FindUnseen(refused.Name)
		if !found || unseen.Rune != refused.Rune || unseen.Position != refused.Position {
			t.Errorf("%s, %+q: %v, %v", label, refused.Name, unseen, found)
		}
		if want := fmt.Sprintf(" %U at character %d", refused.Rune, refused.Position); !strings.Contains(unseen.String(), want) {
			t.Errorf("%s: %q does not say %q", label, unseen, want)
		}
		if got := plaintext.Clean(refused.Name, 100); strings.ContainsRune(got, refused.Rune) && refused.Rune != 0x200d && refused.Rune != 0xfe0f {
			t.Errorf("%s: %+q is shown as %+q", label, refused.Name, got)
		}
	}
}

func TestP29_NamesAreComparedAndSearchedAsReadersDo(t *testing.T) {
	for _, same := range [][2]string{{"Zo\u00eb", "Zoe\u0308"}, {"\uac00", "\u1100\u1161"}, {"\u212b", "\u00c5"}, {"\u1ec7", "e\u0323\u0302"}} {
		if !plaintext.SameName(same[0], same[1]) || plaintext.Fold(same[0]) != plaintext.Fold(same[1]) {
			t.Errorf("%+q is not %+q", same[0], same[1])
		}
	}
	for _, other := range [][2]string{{"a", "A"}, {"a", "\u0430"}, {"\u2699", "\u2699\ufe0f"}} {
		if plaintext.SameName(other[0], other[1]) {
			t.Errorf("%+q is %+q", other[0], other[1])
		}
	}
	for _, found := range [][2]string{
		{"\U0001F469\u200D\U0001F4BB laptop", "\U0001F469\u200D\U0001F4BB"}, {"\u2699\ufe0f deploy", "\u2699 DEPLOY"},
		{"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"},
		{"\u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2", "\u03a3\u0395\u03a5\u0301\u03a3"}, {"Kelvin", "\u212aelvin"}, {"\u958b\u767a\u3000\u7528", "\u767a \u7528"},
	} {
		if !strings.Contains(plaintext.Fold(found[0]), plaintext.Fold(found[1])) {
			t.Errorf("%+q is not found in %+q", found[1], found[0])
		}
	}
}

func TestP29_CutTextEndsInNoHalfOfASequence(t *testing.T) {
	var long []string
	for _, name := range names.Living {
		long = append(long, strings.Repeat(name, 3))
	}
	for _, name := range append(long, names.Emoji()...) {
		for limit := range 30 {
			got := plaintext.Clean(name, limit)
			if again := plaintext.Clean(got, limit); again != got || !plaintext.Visible(got) || len([]rune(got)) > limit {
				t.Fatalf("%+q cut to %d is %+q, and then %+q", name, limit, got, again)
			}
		}
	}
}
