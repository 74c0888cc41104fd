package faults

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

func TestParseFaults(t *testing.T) {
	got, err := Parse([]string{"503:10%", "429:5%", "latency:200ms", "drop-answer:0.5%", "500:1%"})
	want := Plan{Statuses: map[int]float64{503: 0.10, 429: 0.05, 500: 0.01}, DropAnswer: 0.005, Latency: 200 * time.Millisecond}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if text := got.String(); text != "429:5% 500:1% 503:10% drop-answer:0.5% latency:200ms" {
		t.Errorf("written as %q", text)
	}
	if got, err := Parse(nil); err != nil || !got.none() {
		t.Errorf("none: %+v, %v", got, err)
	}
	for _, specs := range []string{
		"", "503", "503:", "503:10", "503:0%", "503:-1%", "503:101%", "503:NaN%", "503:Inf%", "503:x%", "200:5%", "401:5%", "drop:5%",
		"latency:5%", "latency:200", "latency:0s", "latency:-1s", "latency:21s", "drop-answer:200ms",
		"503:10% 503:20%", "503:60% drop-answer:41%", "503:60% 429:41%",
	} {
		got, err := Parse(strings.Split(specs, " "))
		var invalid *domain.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%q was read as %+v, %v", specs, got, err)
		}
	}
}

func TestFaults_HitTheirShareAndTheSameRequestsAgain(t *testing.T) {
	const requests = 20_000
	plan := Plan{Statuses: map[int]float64{503: 0.10, 429: 0.05}, DropAnswer: 0.02, Seed: 7}
	first, second := NewInjector(plan, slog.New(slog.DiscardHandler)), NewInjector(plan, slog.New(slog.DiscardHandler))
	plan.Seed = 8
	other := NewInjector(plan, slog.New(slog.DiscardHandler))
	counts, differ := map[string]int{}, 0
	for n := range uint64(requests) {
		status, drop := first.fate(n)
		counts[fmt.Sprint(status, drop)]++
		if s, d := second.fate(n); s != status || d != drop {
			t.Fatalf("request %d has another fate with the same seed", n)
		}
		if s, d := other.fate(n); s != status || d != drop {
			differ++
		}
	}
	for fate, share := range map[string]float64{"503 false": 0.10, "429 false": 0.05, "0 true": 0.02, "0 false": 0.83} {
		deviation := 5 * math.Sqrt(requests*share*(1-share))
		if n := float64(counts[fate]); math.Abs(n-requests*share) > deviation {
			t.Errorf("%s: %.0f of %d", fate, n, requests)
		}
	}
	if len(counts) != 4 || differ == 0 {
		t.Errorf("%v; %d requests differ with another seed", counts, differ)
	}
}
