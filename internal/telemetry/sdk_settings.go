package telemetry

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The variables that OpenTelemetry's SDK reads by itself. It takes numbers
// without bounds, and panics over some.
const (
	envResource   = "OTEL_RESOURCE_ATTRIBUTES"
	envSampler    = "OTEL_TRACES_SAMPLER"
	envSamplerArg = "OTEL_TRACES_SAMPLER_ARG"

	maxQueuedSpans  = 1_000_000
	maxMilliseconds = 3_600_000
	maxSpanLimit    = 1_000_000_000
)

var samplers = []string{
	"always_on", "always_off", "traceidratio",
	"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

// numericSettings are how spans are collected until they are sent, and how much a span
// may hold.
var numericSettings = []struct {
	name  string
	least int
	most  int
}{
	{"OTEL_BSP_MAX_QUEUE_SIZE", 1, maxQueuedSpans},
	{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, maxQueuedSpans},
	// Without a delay the SDK would never rest.
	{"OTEL_BSP_SCHEDULE_DELAY", 1, maxMilliseconds},
	{"OTEL_BSP_EXPORT_TIMEOUT", 0, maxMilliseconds},
	// To the SDK, a negative one is none.
	{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", -1, maxSpanLimit},
	{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", -1, maxSpanLimit},
	{"OTEL_SPAN_ATTRIBUTE_VALUE_DEPTH_LIMIT", -1, maxSpanLimit},
	{"OTEL_SPAN_EVENT_COUNT_LIMIT", -1, maxSpanLimit},
	{"OTEL_SPAN_LINK_COUNT_LIMIT", -1, maxSpanLimit},
	{"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", -1, maxSpanLimit},
	{"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", -1, maxSpanLimit},
	{"OTEL_ATTRIBUTE_COUNT_LIMIT", -1, maxSpanLimit},
	{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", -1, maxSpanLimit},
}

// checkSDKSettings refuses what the SDK would pass over, quote in full, or not
// survive. Errors quote no value.
func checkSDKSettings(lookup func(string) string) error {
	for _, setting := range numericSettings {
		text := lookup(setting.name)
		if text == "" {
			continue
		}
		if number, err := strconv.Atoi(text); err != nil || number < setting.least || number > setting.most {
			return fmt.Errorf("%s is no whole number from %d to %d", setting.name, setting.least, setting.most)
		}
	}
	if err := checkSampler(lookup(envSampler), lookup(envSamplerArg)); err != nil {
		return err
	}
	if attributes := strings.TrimSpace(lookup(envResource)); attributes != "" {
		for pair := range strings.SplitSeq(attributes, ",") {
			name, value, found := strings.Cut(pair, "=")
			if _, err := url.PathUnescape(value); err != nil || !found || strings.TrimSpace(name) == "" {
				return fmt.Errorf("%s is not written as name=value, with a comma between them and %% codes for odd characters", envResource)
			}
		}
	}
	return nil
}

func checkSampler(name, argument string) error {
	name, argument = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(argument)
	switch {
	case name == "":
		return nil
	case !slices.Contains(samplers, name):
		return fmt.Errorf("%s is none of %s", envSampler, strings.Join(samplers, ", "))
	case !strings.HasSuffix(name, "traceidratio") || argument == "":
		return nil
	}
	// NaN is in no order, hence the negation.
	if share, err := strconv.ParseFloat(argument, 64); err != nil || !(share >= 0 && share <= 1) {
		return fmt.Errorf("%s is no share from 0 to 1", envSamplerArg)
	}
	return nil
}
