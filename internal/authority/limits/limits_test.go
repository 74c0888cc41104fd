package limits

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"testing"
	"time"
)

func TestN3_ParseRateLimits(t *testing.T) {
	minute, day := Rate{60, time.Minute}, Rate{1000, 24 * time.Hour}
	for text, want := range map[string][]Rate{
		"60/m,1000/d": {minute, day}, "60": {minute}, "1000/d, 60/m": {day, minute}, "0": nil,
		"1/s,1000000/h": {{1, time.Second}, {1_000_000, time.Hour}},
	} {
		if got, err := Parse(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "60/m,", "0/m", "-1/m", "60/w", "60/", "/m", "x", "60/m,70/m", "60/m,0", "1000001/d", "1e3/d", "60/m/d", "+60/m", "060/m"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	if minute.String() != "60/m" || day.String() != "1000/d" || (Rate{}).String() != "0" {
		t.Errorf("%s, %s, %s", minute, day, Rate{})
	}
}

func TestN3_ATokenUsesUpTheShortestPeriodFirst(t *testing.T) {
	tokens := NewTokens([]Rate{{2, time.Minute}, {3, time.Hour}})
	now := time.Date(2026, 3, 28, 10, 0, 20, 0, time.UTC)
	for i, want := range []Level{
		{Taken: true, Rate: Rate{2, time.Minute}, Capacity: 2, Remaining: 1, Reset: 40 * time.Second},
		{Taken: true, Rate: Rate{2, time.Minute}, Capacity: 2, Wait: 40 * time.Second, Reset: 40 * time.Second},
		{Rate: Rate{2, time.Minute}, Capacity: 2, Wait: 40 * time.Second, Reset: 40 * time.Second},
	} {
		if got := tokens.Take("a", now); got != want {
			t.Errorf("request %d: %+v, want %+v", i, got, want)
		}
	}
	if got := tokens.Take("b", now); got.Remaining != 1 {
		t.Errorf("another token: %+v", got)
	}
	now = now.Add(40 * time.Second)
	if got := tokens.Take("a", now); !got.Taken || got.Rate.Period != time.Hour || got.Remaining != 0 {
		t.Errorf("the next minute: %+v", got)
	}
	if got := tokens.Take("a", now); got.Taken || got.Wait != 59*time.Minute {
		t.Errorf("beyond the hour's limit: %+v", got)
	}
	if got := NewTokens(nil); got != nil {
		t.Errorf("without limits: %+v", got)
	}
}

func TestN3_MillionAddressesTakeBoundedMemory(t *testing.T) {
	limit := NewAddresses(Rate{600, time.Minute})
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, now := heap(), time.Now()
	for range 1_000_000 {
		var address [16]byte
		_, _ = rand.Read(address[:])
		limit.Take(netip.PrefixFrom(netip.AddrFrom16(address), 64).Masked(), now)
	}
	if grown := int64(heap()) - int64(before); limit.buckets.Len() > maxAddresses || grown > 24<<20 {
		t.Errorf("%d buckets and %d KiB", limit.buckets.Len(), grown>>10)
	}
	runtime.KeepAlive(limit)
}

func TestN3_CountsOfThePastAreForgotten(t *testing.T) {
	tokens, now := NewTokens([]Rate{{60, time.Minute}}), time.Now()
	for i := range 30 {
		tokens.Take(fmt.Sprint(i), now)
	}
	tokens.Take("last", now.Add(3*time.Minute))
	if n := len(tokens.tokens); n != 1 {
		t.Errorf("%d counts are kept, want 1", n)
	}
}
