package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// RecipientHeader is the header of an HTTP request that holds the age recipient
// to whom new tokens are encrypted. It belongs into the configuration of the
// client, where no model can change it.
const RecipientHeader = "X-Kenbun-Recipient"

const (
	// maxSealed bounds what is read as a sealed token, in bytes.
	maxSealed = 64 << 10
	// maxRecipient is more than an X25519 recipient has, in bytes.
	maxRecipient = 128
	// recipientPrefix begins a native age recipient (C2SP age, X25519).
	recipientPrefix = "age1"
)

type recipientKey struct{}

// WithRecipient notes the value of [RecipientHeader] that came with a request.
// It is checked where it is used.
func WithRecipient(ctx context.Context, header string) context.Context {
	return context.WithValue(ctx, recipientKey{}, header)
}

// Sealed delivers each new token in the tool's answer, encrypted to the person:
// who reads the answer alone learns nothing. The format is age with an X25519
// recipient (C2SP age), armored.
type Sealed struct{}

// Method implements tokens.Deliverer.
func (Sealed) Method() string { return "sealed" }

// Addressee implements tokens.Addressing.
func (Sealed) Addressee(ctx context.Context) string {
	header, _ := ctx.Value(recipientKey{}).(string)
	return header
}

// Check reports whether the request named a recipient to whom can be encrypted.
func (s Sealed) Check(ctx context.Context) error {
	to, err := recipientFrom(ctx)
	if err != nil {
		return err
	}
	if _, err := seal(to, client.NewSecret("probe")); err != nil {
		return recipientError("nothing can be encrypted to the age recipient in the header " + RecipientHeader)
	}
	return nil
}

// Deliver encrypts the token's value to the recipient that the request named.
func (s Sealed) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	to, err := recipientFrom(ctx)
	if err != nil {
		return tokens.Receipt{}, err
	}
	host, _ := ctx.Value(serverNameKey{}).(string)
	label := sealedLabel{Server: host, ID: token.ID, Name: token.Name, Prefix: token.Prefix}
	if caller.API != nil {
		if label.MAC, err = label.mac(caller.API, token.Value); err != nil {
			return tokens.Receipt{}, err
		}
	}
	armored, err := seal(labelled{to, label}, token.Value)
	if err != nil {
		return tokens.Receipt{}, err
	}
	return tokens.Receipt{
		Method: s.Method(),
		Sealed: armored,
		Note: fmt.Sprintf("The value is in this answer, encrypted to the age recipient %s: show the user the sealed text, whole and unchanged. They open it themselves, with the identity file of that recipient, in a terminal of their own; docs/http.md of kenbun-mcp says how.",
			recipientFingerprint(to.String())),
	}, nil
}

func recipientFrom(ctx context.Context) (*age.X25519Recipient, error) {
	header, _ := ctx.Value(recipientKey{}).(string)
	text := settings.Trim(header)
	switch {
	case text == "":
		return nil, recipientError("the request names no recipient for the encrypted value")
	case len(text) > maxRecipient, !strings.HasPrefix(text, recipientPrefix):
		return nil, recipientError("the header " + RecipientHeader + " does not hold an age recipient of the form age1…")
	}
	to, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, recipientError("the header " + RecipientHeader + " does not hold an age recipient of the kind X25519, or not a whole one")
	}
	return to, nil
}

func recipientError(what string) error {
	return &tools.Error{
		Code:    tools.CodeCannotDeliver,
		Message: what,
		Next: "The user makes a key with `age-keygen -o kenbun-identity.txt` and puts the line that begins with age1 into the client's configuration, " +
			"as the header " + RecipientHeader + ". It does not belong in the conversation.",
	}
}

// recipientFingerprint is enough of a recipient to tell it from one's others.
func recipientFingerprint(recipient string) string {
	if len(recipient) <= 16 {
		return recipient
	}
	return recipient[:8] + "…" + recipient[len(recipient)-6:]
}

func seal(to age.Recipient, value client.Secret) (string, error) {
	var sealed bytes.Buffer
	wrapped := armor.NewWriter(&sealed)
	encrypted, err := age.Encrypt(wrapped, to)
	if err == nil {
		_, err = io.WriteString(encrypted, value.Reveal())
	}
	if err == nil {
		err = encrypted.Close()
	}
	if err == nil {
		err = wrapped.Close()
	}
	if err != nil {
		return "", errors.New("the value could not be encrypted")
	}
	return sealed.String(), nil
}

// OpenSealed decrypts what the road "sealed" delivered. It sends nothing to
// anybody. identities is the content of an identity file as age-keygen writes it.
// armored may be indented or quoted, and may stand among other text, as it does
// when it is copied out of a conversation. The errors hold nothing of either.
func OpenSealed(armored string, identities io.Reader) (*OpenedToken, error) {
	keys, err := age.ParseIdentities(io.LimitReader(identities, maxSealed))
	if err != nil {
		return nil, errors.New("the identity file cannot be read as one: give the file that age-keygen wrote, with the line that begins with AGE-SECRET-KEY-1")
	}
	block, err := armoredBlock(armored)
	if err != nil {
		return nil, err
	}
	reading := &labelReader{identities: keys}
	opened, err := age.Decrypt(armor.NewReader(strings.NewReader(block)), reading)
	var noMatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &noMatch):
		return nil, errors.New("the sealed token is for another recipient: give the identity file that belongs to the recipient in the client's configuration")
	case err != nil:
		return nil, errDamaged
	}
	value, err := io.ReadAll(io.LimitReader(opened, maxSealed))
	if err != nil {
		return nil, errDamaged
	}
	secret, err := client.ParsePAT(string(value))
	if err != nil {
		return nil, fmt.Errorf("what was sealed is not a token: %w", err)
	}
	return &OpenedToken{Value: secret, label: reading.label}, nil
}

var errDamaged = errors.New("the sealed token was damaged on the way: copy it again, whole and unchanged")

// armoredBlock finds the armored file in a text and takes away what copying may
// have put before its lines.
func armoredBlock(text string) (string, error) {
	if len(text) > maxSealed {
		return "", errors.New("the text is too long to be one sealed token")
	}
	if !strings.Contains(text, "\n") {
		// Copied out of a JSON text.
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	_, rest, begun := strings.Cut(text, armor.Header)
	body, _, ended := strings.Cut(rest, armor.Footer)
	if !begun || !ended {
		return "", fmt.Errorf("there is no sealed token in the text: it begins with %q and ends with %q", armor.Header, armor.Footer)
	}
	var block strings.Builder
	block.WriteString(armor.Header + "\n")
	for line := range strings.Lines(body) {
		if line = strings.Trim(line, " \t\r\n>|"); line != "" {
			block.WriteString(line + "\n")
		}
	}
	block.WriteString(armor.Footer + "\n")
	return block.String(), nil
}
