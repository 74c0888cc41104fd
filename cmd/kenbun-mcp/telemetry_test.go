package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

func TestR1_SecretsAreInNoMetricTraceOrLog(t *testing.T) {
	require.Long(t, "it runs the built program")
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			c := newCollector(t)
			environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_LOG_LEVEL=debug", "KENBUN_LOG_FORMAT="+format,
				"KENBUN_DELIVER=inline", "KENBUN_MAX_CHANGES_PER_MINUTE=0", "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_BSP_SCHEDULE_DELAY=50")
			var metrics string
			var log func() string
			values := []string{pat}
			t.Run("serve", func(t *testing.T) {
				var address string
				address, log = startHTTPLogged(t, environment, "--metrics-listen", "127.0.0.1:0")
				answer := postMCP(t, address, pat, tracedCall(1, "create_token", `{"name":"canary","expires":"30d"}`))
				made := regexp.MustCompile(`kbn_pat_[0-9A-Za-z]{30,}`).FindString(answer)
				if made == "" {
					t.Fatalf("no token was made: %s", answer)
				}
				values = append(values, made)
				for i, call := range []string{
					tracedCall(2, "list_tokens", `{"cursor":"`+pat+`"}`), tracedCall(3, "revoke_token", `{"id":"`+pat+`"}`),
					tracedCall(4, pat, `{}`), tracedCall(5, "create_token", `{"`+pat+`":"`+made+`"}`),
					strings.ReplaceAll(tracedCall(6, "whoami", `{}`), clientTrace, pat),
					strings.ReplaceAll(tracedCall(7, "whoami", `{}`), `"_meta":{`, `"_meta":{"tracestate":"k=`+pat+`","baggage":"k=`+pat+`",`),
					strings.ReplaceAll(tracedCall(8, "whoami", `{}`), "tools/call", pat),
				} {
					postMCPWith(t, address, pat, call, [2]string{[]string{"Tracestate", "Baggage", "Traceparent", "X-Request-Id"}[i%4], pat})
				}
				get(t, "http://"+address+"/"+pat+"?token="+pat)
				metrics = scrapeMetrics(t, metricsAddress(t, log()))
				// A signal leaves little time for what was not sent before.
				waitUntil(t, "the traces", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.spans) >= 8 })
			})
			c.mu.Lock()
			defer c.mu.Unlock()
			if !strings.Contains(log(), "request") {
				t.Fatalf("the log is %s", log())
			}
			for _, value := range values {
				expectNoSecret(t, "the metrics", metrics, value)
				expectNoSecret(t, "the traces", c.everything.String(), value)
				expectNoSecret(t, "the log", log(), value)
			}
		})
	}
}

func TestLogFormat_IsAsAskedFor(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat, "KENBUN_LOG_LEVEL=info")
	call := tracedCall(1, "revoke_token", `{"id":"pat_unknown"}`)
	if got := runProgram(t, environment, call, "stdio", "--log-format", "json"); !strings.HasPrefix(got.stderr, `{"time":"`) || !strings.Contains(got.stderr, `"code":"not_found"`) {
		t.Errorf("json: %s", got.stderr)
	}
	if got := runProgram(t, environment, call, "stdio"); !strings.HasPrefix(got.stderr, "time=") || !strings.Contains(got.stderr, "code=not_found") {
		t.Errorf("text: %s", got.stderr)
	}
	if got := runProgram(t, environment, "", "stdio", "--log-format", "xml"); got.code != command.ExitUsage || !strings.Contains(got.stderr, "--log-format") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}
