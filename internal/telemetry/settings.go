package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// The environment variables of OpenTelemetry that are read here. A variable of traces alone,
// such as OTEL_EXPORTER_OTLP_TRACES_HEADERS, wins over the one of all signals. The SDK
// itself reads OTEL_SERVICE_NAME and what [checkSDKSettings] looks at before.
const (
	envDisabled    = "OTEL_SDK_DISABLED"
	envPropagators = "OTEL_PROPAGATORS"
	envExporter    = "OTEL_TRACES_EXPORTER"
	envEndpoint    = "ENDPOINT"
	envProtocol    = "PROTOCOL"
	envHeaders     = "HEADERS"
	envTimeout     = "TIMEOUT"
	envCompression = "COMPRESSION"
	envCertificate = "CERTIFICATE"
	envClientCert  = "CLIENT_CERTIFICATE"
	envClientKey   = "CLIENT_KEY"

	protocolProtobuf   = "http/protobuf"
	defaultOTLPTimeout = 10 * time.Second
	maxOTLPTimeout     = 5 * time.Minute
)

// otlpSettings say where traces are sent, and how.
type otlpSettings struct {
	endpoint    *url.URL
	header      http.Header
	timeout     time.Duration
	gzip        bool
	certificate string
	// certificateFrom is the variable that names it.
	certificateFrom string
}

// readOTLPSettings reads the environment. Nil: no traces are wanted. Errors quote no value,
// since headers and addresses may hold secrets.
func readOTLPSettings(lookup func(string) string) (*otlpSettings, error) {
	value := func(name string) (text, from string) { return otlpValue(lookup, name) }
	address, from := value(envEndpoint)
	if isDisabled(lookup) {
		return nil, nil
	}
	for _, name := range configFiles {
		if strings.TrimSpace(lookup(name)) != "" {
			// The file counts in place of all other variables.
			return nil, fmt.Errorf("%s names a file of settings, which this program does not read", name)
		}
	}
	if address == "" {
		return nil, nil
	}
	wanted, err := wantsOTLP(lookup(envExporter))
	if !wanted || err != nil {
		return nil, err
	}
	if protocol, from := value(envProtocol); protocol != "" && ascii.Lower(protocol) != protocolProtobuf {
		return nil, fmt.Errorf("%s names a protocol that this program does not speak; use %s", from, protocolProtobuf)
	}
	s := &otlpSettings{timeout: defaultOTLPTimeout}
	s.certificate, s.certificateFrom = value(envCertificate)
	for _, name := range []string{envClientCert, envClientKey} {
		if _, from := value(name); from != "" {
			return nil, fmt.Errorf("%s asks for a certificate of the client's own, which this program does not send", from)
		}
	}
	if s.endpoint, err = url.Parse(address); err != nil || s.endpoint.Host == "" || s.endpoint.Scheme != "http" && s.endpoint.Scheme != "https" {
		return nil, fmt.Errorf("%s is no address such as http://localhost:4318", from)
	}
	if !strings.Contains(from, "_TRACES_") {
		s.endpoint = s.endpoint.JoinPath("v1", "traces")
	}
	text, from := value(envHeaders)
	if s.header, err = parseOTLPHeaders(text); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	if text, from := value(envTimeout); text != "" {
		milliseconds, err := strconv.Atoi(text)
		s.timeout = time.Duration(milliseconds) * time.Millisecond
		if err != nil || milliseconds < 1 || s.timeout > maxOTLPTimeout {
			return nil, fmt.Errorf("%s is no number of milliseconds up to 300000", from)
		}
	}
	switch compression, from := value(envCompression); ascii.Lower(compression) {
	case "", "none":
	case "gzip":
		s.gzip = true
	default:
		return nil, fmt.Errorf("%s is neither gzip nor none", from)
	}
	return s, checkSDKSettings(lookup)
}

// configFiles are the variables for a file of settings, the second from before it was
// stable.
var configFiles = []string{"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"}

// otlpValue returns a setting of the exporter, for traces or all signals, and its variable.
func otlpValue(lookup func(string) string, name string) (text, from string) {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"} {
		if text := strings.TrimSpace(lookup(prefix + name)); text != "" {
			return text, prefix + name
		}
	}
	return "", ""
}

func isDisabled(lookup func(string) string) bool {
	return ascii.Lower(strings.TrimSpace(lookup(envDisabled))) == "true"
}

// exporters reads the list of exporters. Their names have no case.
func exporters(list string) []string {
	return strings.FieldsFunc(ascii.Lower(list), func(r rune) bool { return r == ',' || r == ' ' })
}

// wantsOTLP reads the list of exporters.
func wantsOTLP(list string) (bool, error) {
	switch named := exporters(list); {
	case len(named) == 0, slices.Contains(named, "otlp"):
		return true, nil
	case slices.Equal(named, []string{"none"}):
		return false, nil
	}
	return false, fmt.Errorf("%s names no exporter that this program has; use otlp or none", envExporter)
}

// unheeded returns a sentence for each ignored setting, as OpenTelemetry asks for. They
// quote no value.
func unheeded(lookup func(string) string) []string {
	if isDisabled(lookup) {
		return nil
	}
	var sentences []string
	named := exporters(lookup(envExporter))
	if address, _ := otlpValue(lookup, envEndpoint); address == "" {
		if len(named) > 0 && !slices.Equal(named, []string{"none"}) {
			sentences = append(sentences, envExporter+" asks for traces, and OTEL_EXPORTER_OTLP_ENDPOINT names no collector, so that none are sent")
		}
		return sentences
	}
	if slices.Contains(named, "otlp") && slices.ContainsFunc(named, func(name string) bool { return name != "otlp" }) {
		sentences = append(sentences, envExporter+" names more than otlp, and traces are sent over otlp alone")
	}
	if disabled := ascii.Lower(strings.TrimSpace(lookup(envDisabled))); disabled != "" && disabled != "false" {
		sentences = append(sentences, envDisabled+" is neither true nor false, and counts as false")
	}
	if propagators := exporters(lookup(envPropagators)); len(propagators) > 0 && !slices.Contains(propagators, "tracecontext") {
		sentences = append(sentences, envPropagators+" does not name tracecontext, which is the only one here and is used all the same")
	}
	return sentences
}

var errBadHeaders = errors.New("headers are written as name=value, with a comma between them")

// parseOTLPHeaders reads "name=value,name=value", the values percent-encoded.
func parseOTLPHeaders(text string) (http.Header, error) {
	header := http.Header{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		name = strings.TrimSpace(name)
		if !ok || err != nil || !isFieldName(name) || strings.ContainsFunc(value, isControl) {
			return nil, errBadHeaders
		}
		header.Set(name, value)
	}
	return header, nil
}

// isFieldName reports whether name is valid for a header field (RFC 9110, section 5.6.2).
func isFieldName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isControl is what no value of a header field may hold.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// The variables that OpenTelemetry's SDK reads by itself. It takes numbers without bounds,
// and panics over some.
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

// numericSettings bound the batches of spans and the size of a span.
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

// checkSDKSettings refuses what the SDK would ignore, quote in full, or panic over. Errors
// quote no value.
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
