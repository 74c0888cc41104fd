package approval

import (
	"errors"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

// A state that comes back as it was given out counts once, for what it was given
// out for. Anything else counts for nothing.
func FuzzR38_SealedState(f *testing.F) {
	genuine, err := newSealer(time.Now).seal(claims{}, Opened{}, decisionTimeout)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", "ada", "revoke_token", 0, byte(1))
	f.Add(genuine, "ada", "rotate_token", 7, byte(0x80))
	f.Add("AAAA\n", "\x00", "\u202e", -1, byte(0xff))
	f.Fuzz(func(t *testing.T, foreign, caller, target string, position int, flip byte) {
		if !utf8.ValidString(caller) || !utf8.ValidString(target) {
			t.Skip("not a text that the API can send")
		}
		now := time.Now()
		s := newSealer(func() time.Time { return now })
		if err := s.open(t.Context(), foreign, claims{}); !errors.Is(err, errStateAltered) {
			t.Fatalf("a state that was never sealed: %v", err)
		}
		var about claims
		fields := reflect.ValueOf(&about).Elem()
		for i := range fields.NumField() {
			if fields.Field(i).Kind() == reflect.String {
				fields.Field(i).SetString([]string{caller, target}[i%2])
			}
		}
		state, err := s.seal(about, Opened{}, decisionTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if len(state) > 1024+16*(len(caller)+len(target))*fields.NumField() {
			t.Fatalf("the state has %d bytes", len(state))
		}

		altered := []byte(state)
		altered[uint(position)%uint(len(altered))] ^= flip
		if string(altered) != state {
			if err := s.open(t.Context(), string(altered), about); !errors.Is(err, errStateAltered) {
				t.Fatalf("an altered state: %v", err)
			}
		}
		for _, other := range []string{state[:len(state)-1], state + "A", state + "\n", " " + state, state + state} {
			if err := s.open(t.Context(), other, about); !errors.Is(err, errStateAltered) {
				t.Fatalf("%q for %q: %v", other, state, err)
			}
		}
		if other := about; caller != target {
			reflect.ValueOf(&other).Elem().Field(0).SetString(target)
			if err := s.open(t.Context(), state, other); !errors.Is(err, errStateOther) {
				t.Fatalf("the state of another question: %v", err)
			}
		}
		if err := newSealer(time.Now).open(t.Context(), state, about); !errors.Is(err, errStateAltered) {
			t.Fatalf("at another server: %v", err)
		}
		if err := s.open(t.Context(), state, about); err != nil {
			t.Fatalf("the state itself: %v", err)
		}
		if err := s.open(t.Context(), state, about); !errors.Is(err, errStateUsed) {
			t.Fatalf("the second time: %v", err)
		}
		late, err := s.seal(about, Opened{}, decisionTimeout)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(decisionTimeout)
		if err := s.open(t.Context(), late, about); !errors.Is(err, errStateExpired) {
			t.Fatalf("at its end: %v", err)
		}
	})
}
