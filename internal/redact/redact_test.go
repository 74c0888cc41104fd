package redact_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// secret is a secret of the kind that literal begins, made anew.
func secret(literal string) string { return literal + rand.Text() + rand.Text() }

func TestR1_EveryKindOfSecretIsTakenOut(t *testing.T) {
	for _, literal := range redact.Literals() {
		value := secret(literal)
		hidden := value[len(literal)+redact.PublicLen:]
		for name, text := range map[string]string{
			"alone": value, "in a sentence": "the token " + value + " was refused", "twice": value + "," + value,
			"in capitals": strings.ToUpper(value), "in an address": "http://x/" + value + "?token=" + value, "a part": value[:len(literal)+20],
			"after a short one": literal + "x " + value, "glued": "x" + value,
		} {
			for _, got := range []string{redact.Secrets(text), redact.Whole(text)} {
				if !strings.Contains(got, redact.Replacement) || strings.Contains(strings.ToLower(got), strings.ToLower(hidden[:8])) {
					t.Errorf("%s, %s: %q became %q", literal, name, text, got)
				}
				if redact.Holds(got) {
					t.Errorf("%s, %s: %q still counts as a secret", literal, name, got)
				}
			}
			if !redact.Holds(text) {
				t.Errorf("%s, %s: nothing was found in %q", literal, name, text)
			}
			if got := redact.Whole(text); name == "alone" && got != redact.Replacement {
				t.Errorf("%s: %q", literal, got)
			}
		}
	}
}

func TestThePublicPartStays(t *testing.T) {
	for _, literal := range []string{redact.PAT, redact.Session, redact.Link} {
		value := secret(literal)
		public := value[:len(literal)+redact.PublicLen]
		if got := redact.Secrets("a " + value + " b"); got != "a "+public+redact.Replacement+" b" {
			t.Errorf("%s: %q", literal, got)
		}
		if redact.Secrets(public) != public || redact.Whole(public) != public || redact.Holds(public) {
			t.Errorf("the public part %q counts as a secret", public)
		}
	}
	key := secret(redact.ServerKey)
	if got := redact.Secrets("a " + key + " b"); got != "a "+redact.Replacement+" b" {
		t.Errorf("a key has no public part: %q", got)
	}
}

func TestSecretsOfSeveralKindsInOneText(t *testing.T) {
	var text, want []string
	for _, literal := range redact.Literals() {
		text, want = append(text, secret(literal)), append(want, redact.Replacement)
	}
	if got := redact.Whole(strings.Join(text, " ")); got != strings.Join(want, " ") {
		t.Errorf("%q", got)
	}
}

func TestOtherTextStays(t *testing.T) {
	for _, text := range []string{"", "kbn_", "kms_key_id", "Bücher KMS_", "kbn_pat_12345678", "kbn_pat_ 123456789012345678901234567890"} {
		if redact.Secrets(text) != text || redact.Whole(text) != text || redact.Holds(text) {
			t.Errorf("%q was changed to %q", text, redact.Secrets(text))
		}
	}
}
