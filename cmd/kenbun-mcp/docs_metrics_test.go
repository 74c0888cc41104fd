package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kenbun/kenbun-mcp/internal/cli/serve"
	"github.com/kenbun/kenbun-mcp/internal/telemetry"
)

// registeredMetrics are the server's own metrics, as Prometheus reads them.
func registeredMetrics(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	m := serve.NewMetrics()
	m.Sessions(func() int { return 0 })
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+telemetry.MetricsPath, nil))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name := range families {
		if !strings.HasPrefix(name, "kenbun_mcp_") {
			delete(families, name)
		}
	}
	return families
}

// metricsTable is each metric with its labels and the values that these can
// have.
func metricsTable(t *testing.T) string {
	t.Helper()
	families := registeredMetrics(t)
	var names []string
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range names {
		family := families[name]
		labels := []string{}
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()),
			firstNonEmpty(strings.Join(labels, ", "), "-"), tableCell(strings.TrimSuffix(family.GetHelp(), ".")))
	}
	return b.String()
}

// The alerts are written by hand, and would be silent if a name in them were
// wrong.
func TestDocumentedMetricsExist(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "http.md"))
	if err != nil {
		t.Fatal(err)
	}
	families := registeredMetrics(t)
	mentioned := map[string]bool{}
	for _, found := range regexp.MustCompile(`kenbun_mcp_\w+(\{(\w+)=~?"([^"]+)"\})?`).FindAllStringSubmatch(string(content), -1) {
		name, _, _ := strings.Cut(found[0], "{")
		family := families[name]
		if family == nil {
			family = families[strings.TrimSuffix(name, "_bucket")]
		}
		if family == nil {
			t.Errorf("there is no metric %s", name)
			continue
		}
		mentioned[family.GetName()] = true
		for value := range strings.SplitSeq(strings.ReplaceAll(found[3], `\`, ""), "|") {
			if found[2] != "" && !hasLabel(family, found[2], value) {
				t.Errorf("%s never has %s=%q", name, found[2], value)
			}
		}
	}
	for name := range families {
		if !mentioned[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}

func hasLabel(family *dto.MetricFamily, name, value string) bool {
	return slices.ContainsFunc(family.GetMetric(), func(metric *dto.Metric) bool {
		return slices.ContainsFunc(metric.GetLabel(), func(pair *dto.LabelPair) bool {
			return pair.GetName() == name && pair.GetValue() == value
		})
	})
}
