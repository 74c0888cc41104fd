package approval

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"
)

// sealerSharing is a sealer that shares key and once with others; what is nil is
// its own.
func sealerSharing(t *testing.T, key []byte, once Once) *sealer {
	t.Helper()
	s := newSealer(time.Now)
	if err := s.share(key, once); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSeal(t *testing.T, s *sealer, about claims) string {
	t.Helper()
	state, err := s.seal(about, Opened{}, decisionTimeout)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// Whatever is added to the claims binds too.
func TestR38_A7_EachClaimBinds(t *testing.T) {
	s := newSealer(time.Now)
	about := claims{Caller: "a", Tool: "b", Arguments: "c", Target: "d", Fingerprint: "e"}
	state := mustSeal(t, s, about)
	for i := range reflect.TypeFor[claims]().NumField() {
		other := about
		field := reflect.ValueOf(&other).Elem().Field(i)
		field.SetString(field.String() + "x")
		if err := s.open(t.Context(), state, other); !errors.Is(err, errStateOther) {
			t.Errorf("another %s: %v", reflect.TypeFor[claims]().Field(i).Name, err)
		}
	}
	if err := s.open(t.Context(), state, about); err != nil {
		t.Errorf("the state itself: %v", err)
	}
}

// What is remembered of used states is forgotten once they have ended, and not
// before.
func TestR38_UsedStatesAreForgottenInTime(t *testing.T) {
	now := time.Now()
	s := newSealer(func() time.Time { return now })
	for range 100 {
		state := mustSeal(t, s, claims{})
		if err := s.open(t.Context(), state, claims{}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(decisionTimeout / 10)
		if err := s.open(t.Context(), state, claims{}); !errors.Is(err, errStateUsed) {
			t.Fatalf("used a second time: %v", err)
		}
	}
	if n := len(s.used); n > 11 {
		t.Errorf("%d states are remembered", n)
	}
}

// Two nodes with one key and one memory of what was used are as one.
func TestR38_A7_NodesShareKeyAndMemory(t *testing.T) {
	key := make([]byte, sealerKeyBytes)
	once := newSealer(time.Now).onceHere
	a, b := sealerSharing(t, key, once), sealerSharing(t, key, once)
	state := mustSeal(t, a, claims{Caller: "ada"})
	if err := b.open(t.Context(), state, claims{Caller: "ada"}); err != nil {
		t.Fatal(err)
	}
	if err := a.open(t.Context(), state, claims{Caller: "ada"}); !errors.Is(err, errStateUsed) {
		t.Errorf("used on both: %v", err)
	}
}

// A memory that cannot be asked counts as used, never as new.
func TestR38_MemoryThatFailsAgreesToNothing(t *testing.T) {
	s := sealerSharing(t, nil, func(context.Context, string, time.Duration) (bool, error) {
		return true, errors.New("connection refused")
	})
	if err := s.open(t.Context(), mustSeal(t, s, claims{}), claims{}); !errors.Is(err, errStateUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestSealerRefusesWeakKeys(t *testing.T) {
	for _, length := range []int{0, 16, 24, 31, 33} {
		if err := newSealer(time.Now).share(make([]byte, length), nil); err == nil {
			t.Errorf("a key of %d bytes was taken", length)
		}
	}
}
