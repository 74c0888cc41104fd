package delivery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// RecipientHeader is the header with the age recipient to whom new tokens are encrypted. It belongs
// in the client's configuration, where no model can change it.
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

// WithRecipient adds the value of [RecipientHeader] to a request's context, unchecked.
func WithRecipient(ctx context.Context, header string) context.Context {
	return context.WithValue(ctx, recipientKey{}, header)
}

// Sealed delivers each new token in the tool's answer, encrypted to the user: the format is age
// with an X25519 recipient (C2SP age), armored.
type Sealed struct{}

// Method implements tokens.Deliverer.
func (Sealed) Method() string { return "sealed" }

// Addressee implements tokens.Addressing.
func (Sealed) Addressee(ctx context.Context) string {
	header, _ := ctx.Value(recipientKey{}).(string)
	return header
}

// Check reports whether the request has a usable recipient.
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

// Deliver encrypts the token's value to the request's recipient.
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

// recipientFingerprint returns enough of a recipient to recognize it.
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

// OpenSealed decrypts what [Sealed] delivered, without any request. identities is an identity file
// of age-keygen. armored may be indented or quoted, and be surrounded by other text of a
// conversation. The errors reveal nothing of either.
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

// armoredBlock finds the armored file in a text and removes what copying put before its lines.
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

const (
	// labelType and labelVersion identify the stanza in an age file's header that describes the
	// content. Programs ignore unknown stanzas (C2SP age), so plain age opens the file, too.
	labelType    = "kenbun-mcp.token"
	labelVersion = "1"
	// labelPurpose is the salt of the key that authenticates labels.
	labelPurpose = "kenbun-mcp sealed v1"
)

// sealedLabel says which token is in an age file, and which server sealed it.
//
// Anyone who knows a recipient can seal something to it. So the server adds an HMAC-SHA-256 over
// label and value, under a key that HKDF derives from the user's token. age authenticates the
// whole header under the key of the file.
type sealedLabel struct {
	Server string `json:"server"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Prefix string `json:"prefix"`
	MAC    []byte `json:"mac,omitempty"`
}

func (l sealedLabel) mac(pat claimkey.Deriver, value client.Secret) ([]byte, error) {
	key, err := pat.DeriveKey(labelPurpose, "label")
	if err != nil {
		return nil, err
	}
	l.MAC = nil
	content, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write what is sealed: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(content) // a JSON object ends where it ends, so that no part of it can pass for the value
	mac.Write([]byte{0})
	mac.Write([]byte(value.Reveal()))
	return mac.Sum(nil), nil
}

// labelled is an age recipient that adds a label.
type labelled struct {
	to    age.Recipient
	label sealedLabel
}

// Wrap implements age.Recipient.
func (l labelled) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	stanzas, err := l.to.Wrap(fileKey)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(l.label)
	if err != nil {
		return nil, fmt.Errorf("write what is sealed: %w", err)
	}
	return append(stanzas, &age.Stanza{Type: labelType, Args: []string{labelVersion}, Body: body}), nil
}

// labelReader is the user's age identities. It also reads the label.
type labelReader struct {
	identities []age.Identity
	label      *sealedLabel
}

// Unwrap implements age.Identity.
func (r *labelReader) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	r.label = nil
	labels := 0
	for _, stanza := range stanzas {
		if stanza.Type != labelType || len(stanza.Args) != 1 || stanza.Args[0] != labelVersion {
			continue
		}
		labels++
		var label sealedLabel
		if json.Unmarshal(stanza.Body, &label) == nil && labels == 1 {
			r.label = &label
		} else {
			r.label = nil
		}
	}
	for _, identity := range r.identities {
		fileKey, err := identity.Unwrap(stanzas)
		if errors.Is(err, age.ErrIncorrectIdentity) {
			continue
		}
		return fileKey, err
	}
	return nil, age.ErrIncorrectIdentity
}

// OpenedToken is a token that was sealed to its user.
type OpenedToken struct {
	Value client.Secret
	label *sealedLabel
}

// SealedFacts are what a sealed token says about itself.
type SealedFacts struct {
	// Server is the host where the token was made.
	Server string
	// ID and Name are the token's. They come from outside and are not cleaned.
	ID, Name string
}

// Facts returns what the sealed text says of its token. ok is false without a label, as from an
// older server or another program.
func (o *OpenedToken) Facts() (_ SealedFacts, ok bool) {
	if o.label == nil || o.label.Prefix != o.Value.Prefix() {
		return SealedFacts{}, false
	}
	return SealedFacts{Server: o.label.Server, ID: o.label.ID, Name: o.label.Name}, true
}

// IsSealedWith reports whether the server that sealed the token had the user's token pat, and so
// whether [OpenedToken.Facts] can be trusted.
func (o *OpenedToken) IsSealedWith(pat client.Secret) bool {
	if _, ok := o.Facts(); !ok || len(o.label.MAC) == 0 {
		return false
	}
	mac, err := o.label.mac(pat, o.Value)
	return err == nil && hmac.Equal(mac, o.label.MAC)
}

type serverNameKey struct{}

// WithServerName adds the name of this server, as the client used it, to a request's context.
func WithServerName(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, serverNameKey{}, host)
}
