package client

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

func TestA4_SecretIsRedactedByEveryRoad(t *testing.T) {
	value := randomPAT()
	secret := NewSecret(value)
	type hidden struct{ inner Secret }
	type shown struct {
		Secret  Secret
		Pointer *Secret
		Any     any
	}
	subjects := map[string]any{
		"value": secret, "pointer": &secret, "slice": []Secret{secret}, "map": map[string]Secret{"a": secret},
		"exported field": shown{secret, &secret, secret}, "unexported field": hidden{secret}, "pointer to unexported": &hidden{secret},
		"credential": Credential{PAT: secret, Session: secret}, "created": CreatedToken{Value: secret},
		"created pointer": &CreatedToken{Value: secret}, "caller": (&Client{}).As(Credential{PAT: secret}),
	}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%T", "%p", "%w", "%z", "%10.3s", "%[2]*[1]v"}
	for name, subject := range subjects {
		for _, verb := range verbs {
			assertHidden(t, name+" "+verb, fmt.Sprintf(verb, subject, 3), value)
		}
		var buf bytes.Buffer
		_ = json.NewEncoder(&buf).Encode(subject) // some subjects cannot be encoded; what came out counts
		_ = xml.NewEncoder(&buf).Encode(subject)
		_ = gob.NewEncoder(&buf).Encode(subject)
		slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "k", subject)
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "k", subject)
		log.New(&buf, "", 0).Print(subject)
		_ = template.Must(template.New("").Parse("{{.}} {{printf `%s` .}} {{js .}}")).Execute(&buf, subject)
		_ = htmltemplate.Must(htmltemplate.New("").Parse("{{.}}<script>{{.}}</script>")).Execute(&buf, subject)
		assertHidden(t, name+" encoded", buf.String(), value)
	}
	for _, verb := range []string{"%v", "%s", "%q", "%#v", "%x", "%d"} {
		if got := fmt.Sprintf(verb, secret); got != redacted {
			t.Errorf("%s prints %q, want %q", verb, got, redacted)
		}
	}
	if got := errors.Join(fmt.Errorf("%s", secret)).Error(); got != redacted {
		t.Errorf("an error prints %q", got)
	}
	if secret.String() != redacted || secret.GoString() != redacted || secret.LogValue().String() != redacted {
		t.Error("String, GoString or LogValue is not redacted")
	}
}

func TestA4_SecretEncodings(t *testing.T) {
	secret := NewSecret(randomPAT())
	encoded, err := json.Marshal(map[string]any{"s": secret, "p": &secret})
	if err != nil || string(encoded) != `{"p":"[redacted]","s":"[redacted]"}` {
		t.Errorf("JSON is %s, %v", encoded, err)
	}
	encoded, err = json.Marshal(map[string]any{"t": CreatedToken{Value: secret}})
	if err != nil || strings.Contains(string(encoded), "Value") || strings.Contains(string(encoded), redacted) {
		t.Errorf("a CreatedToken's JSON has its value in it: %s, %v", encoded, err)
	}
	encoded, err = xml.Marshal(struct {
		XMLName xml.Name `xml:"x"`
		A       Secret   `xml:"a,attr"`
		E       Secret   `xml:"e"`
	}{A: secret, E: secret})
	if err != nil || string(encoded) != `<x a="[redacted]"><e>[redacted]</e></x>` {
		t.Errorf("XML is %s, %v", encoded, err)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(secret); err != nil || !strings.Contains(buf.String(), redacted) {
		t.Errorf("gob is %q, %v", buf.String(), err)
	}
}

func TestSecretCannotBeDecodedInto(t *testing.T) {
	var into struct{ S Secret }
	if err := json.Unmarshal([]byte(`{"S":"x"}`), &into); err == nil || !into.S.IsZero() {
		t.Errorf("a Secret was filled from JSON: %v", err)
	}
}

func TestSecretHoldsItsValue(t *testing.T) {
	value := randomPAT()
	s := NewSecret(value)
	if s.Reveal() != value || s.IsZero() {
		t.Error("the value is lost")
	}
	var none Secret
	if none.Reveal() != "" || !none.IsZero() || !NewSecret("").IsZero() || none.Prefix() != "" {
		t.Error("the zero Secret holds something")
	}
	if !s.Equal(NewSecret(value)) || s.Equal(NewSecret(randomPAT())) || s.Equal(none) || !none.Equal(Secret{}) {
		t.Error("Equal is wrong")
	}
}

func TestK9_PrefixIsKbnPatAndEightCharacters(t *testing.T) {
	value := randomPAT()
	if got := NewSecret(value).Prefix(); got != value[:16] {
		t.Errorf("prefix is %q, want %q", got, value[:16])
	}
	if got := (&Client{}).As(Credential{PAT: NewSecret(value), Session: NewSecret("x")}).TokenPrefix(); got != value[:16] {
		t.Errorf("the caller's prefix is %q, want %q", got, value[:16])
	}
	for _, other := range []string{"", patPrefix, patPrefix + "12345678", "eyJhbGciOi.eyJzdWIiOiIx.c2ln", "ghp_" + value[8:]} {
		if got := NewSecret(other).Prefix(); got != "" {
			t.Errorf("a value of %d characters that is no PAT has the prefix %q", len(other), got)
		}
	}
}

// assertHidden fails if text has value in it, plain or as fmt and encoders write
// bytes.
func assertHidden(t *testing.T, where, text, value string) {
	t.Helper()
	secretPart := value[len(patPrefix):]
	for _, form := range []string{secretPart, secretPart[8:], fmt.Sprintf("%x", secretPart), fmt.Sprintf("%X", secretPart), fmt.Sprintf("% x", secretPart), decimalBytes(secretPart)} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret", where)
			return
		}
	}
}

// decimalBytes is how fmt prints a slice of bytes.
func decimalBytes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%d ", s[i])
	}
	return strings.TrimSpace(b.String())
}
