package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/marks"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func identityFile(identity *age.X25519Identity) io.Reader {
	return strings.NewReader("# public key: " + identity.Recipient().String() + "\n" + identity.String() + "\n")
}

// sealedTo delivers a token to a recipient.
func sealedTo(t *testing.T, identity *age.X25519Identity) (*client.CreatedToken, tokens.Receipt) {
	t.Helper()
	ctx := delivery.WithRecipient(t.Context(), " "+identity.Recipient().String()+" ")
	if err := (delivery.Sealed{}).Check(ctx); err != nil {
		t.Fatal(err)
	}
	token := newToken("pat_1")
	receipt, err := delivery.Sealed{}.Deliver(ctx, tools.Caller{}, token)
	if err != nil {
		t.Fatal(err)
	}
	return token, receipt
}

func TestSealedOpensForItsRecipientAlone(t *testing.T) {
	mine, other := newIdentity(t), newIdentity(t)
	token, receipt := sealedTo(t, mine)
	opened, err := delivery.OpenSealed(receipt.Sealed, identityFile(mine))
	if err != nil || !opened.Value.Equal(token.Value) {
		t.Errorf("it did not open to the same value: %v", err)
	}
	if _, err := delivery.OpenSealed(receipt.Sealed, identityFile(other)); err == nil || !strings.Contains(err.Error(), "another recipient") {
		t.Errorf("another identity: %v", err)
	}
	whole, err := json.Marshal(receipt)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(whole), token.Value.Reveal()) || receipt.Value != "" {
		t.Error("the receipt holds the value")
	}
	text := mine.Recipient().String()
	if !strings.Contains(receipt.Note, text[:8]+"…"+text[len(text)-6:]) || !strings.Contains(receipt.Note, "in a terminal of their own") || receipt.Method != "sealed" {
		t.Errorf("the note says %q", receipt.Note)
	}
}

func TestSealedIsAnotherTextEachTime(t *testing.T) {
	identity := newIdentity(t)
	_, first := sealedTo(t, identity)
	_, second := sealedTo(t, identity)
	if first.Sealed == second.Sealed {
		t.Error("two tokens were sealed alike")
	}
}

func TestSealedSurvivesCopying(t *testing.T) {
	identity := newIdentity(t)
	token, receipt := sealedTo(t, identity)
	encoded, err := json.Marshal(receipt.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is":        receipt.Sealed,
		"among text":      "Here it is:\n\n" + receipt.Sealed + "\nEnjoy!",
		"indented":        "    " + strings.ReplaceAll(receipt.Sealed, "\n", "\n    "),
		"quoted":          "> " + strings.ReplaceAll(receipt.Sealed, "\n", "\n> "),
		"from Windows":    strings.ReplaceAll(receipt.Sealed, "\n", "\r\n"),
		"out of JSON":     string(encoded),
		"no last newline": strings.TrimSpace(receipt.Sealed),
	} {
		if opened, err := delivery.OpenSealed(text, identityFile(identity)); err != nil || !opened.Value.Equal(token.Value) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealedThatWasDamagedIsRefusedAndNotShown(t *testing.T) {
	identity := newIdentity(t)
	token, receipt := sealedTo(t, identity)
	lines := strings.Split(strings.TrimSpace(receipt.Sealed), "\n")
	swapped := append([]string{}, lines...)
	swapped[len(swapped)-3] = strings.ToUpper(swapped[len(swapped)-3]) // the last whole line
	for name, text := range map[string]string{
		"empty":        "",
		"no end":       strings.Join(lines[:len(lines)-1], "\n"),
		"a line short": strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), "\n"),
		"changed":      strings.Join(swapped, "\n"),
		"huge":         receipt.Sealed + strings.Repeat("x", 1<<20),
		"plain":        "-----BEGIN AGE ENCRYPTED FILE-----\n" + token.Value.Reveal() + "\n-----END AGE ENCRYPTED FILE-----",
	} {
		_, err := delivery.OpenSealed(text, identityFile(identity))
		if err == nil || strings.Contains(err.Error(), token.Value.Reveal()) || strings.Contains(err.Error(), lines[1]) {
			t.Errorf("%s: opened, or the error shows too much: %v", name, err)
		}
	}
	if _, err := delivery.OpenSealed(receipt.Sealed, strings.NewReader("not an identity "+identity.String())); err == nil || strings.Contains(err.Error(), identity.String()) {
		t.Errorf("a file that is no identity: %v", err)
	}
}

func TestSealedOpensToNothingButAToken(t *testing.T) {
	identity := newIdentity(t)
	var sealed strings.Builder
	wrapped := armor.NewWriter(&sealed)
	encrypted, err := age.Encrypt(wrapped, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(encrypted, "$(rm -rf ~)"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(encrypted.Close(), wrapped.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := delivery.OpenSealed(sealed.String(), identityFile(identity)); err == nil || !strings.Contains(err.Error(), "not a token") || strings.Contains(err.Error(), "rm -rf") {
		t.Errorf("what is no token: %v", err)
	}
}

func TestSealedRefusesWithoutARecipientItCanUse(t *testing.T) {
	identity := newIdentity(t)
	recipient := identity.Recipient().String()
	for name, ctx := range map[string]context.Context{
		"no header":         t.Context(),
		"an empty one":      delivery.WithRecipient(t.Context(), "  "),
		"cut short":         delivery.WithRecipient(t.Context(), recipient[:len(recipient)-1]),
		"a letter changed":  delivery.WithRecipient(t.Context(), strings.Replace(recipient, recipient[10:12], recipient[11:12]+recipient[10:11], 1)+"q"),
		"two":               delivery.WithRecipient(t.Context(), recipient+","+recipient),
		"the identity":      delivery.WithRecipient(t.Context(), identity.String()),
		"a plugin":          delivery.WithRecipient(t.Context(), "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"),
		"an SSH key":        delivery.WithRecipient(t.Context(), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDMhzE3"),
		"a great many":      delivery.WithRecipient(t.Context(), "age1"+strings.Repeat("q", 1<<16)),
		"line breaks in it": delivery.WithRecipient(t.Context(), recipient[:20]+"\n"+recipient[20:]),
	} {
		var refusal *tools.Error
		token := newToken("pat_1")
		_, deliverErr := delivery.Sealed{}.Deliver(ctx, tools.Caller{}, token)
		for action, err := range map[string]error{"check": (delivery.Sealed{}).Check(ctx), "deliver": deliverErr} {
			if !errors.As(err, &refusal) || refusal.Code != tools.CodeCannotDeliver || !strings.Contains(refusal.Next, delivery.RecipientHeader) {
				t.Errorf("%s, %s: %v", name, action, err)
			} else if strings.Contains(refusal.Text(), identity.String()) {
				t.Errorf("%s, %s: the error shows an identity", name, action)
			}
		}
	}
}

func TestP14_MarksAroundTheRecipientAreTrimmed(t *testing.T) {
	for name, marked := range marks.AroundVariable(newIdentity(t).Recipient().String()) {
		if err := (delivery.Sealed{}).Check(delivery.WithRecipient(t.Context(), marked)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
