package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
)

const (
	// labelType and labelVersion are of the stanza in the header of an age file
	// that says what is in the file. Programs that do not know a stanza leave it
	// out (C2SP age), so that plain age opens the file, too.
	labelType    = "kenbun-mcp.token"
	labelVersion = "1"
	// labelPurpose is the salt of the key that authenticates labels.
	labelPurpose = "kenbun-mcp sealed v1"
)

// sealedLabel says which token is in an age file, and which server sealed it.
//
// Anyone who knows a recipient can seal something to it. So the server, which has
// the user's token when it makes another, adds an HMAC-SHA-256 over the label and
// the value, under a key that HKDF derives from the user's token. The header as a
// whole is authenticated by age, under the key of the file.
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

// labelled is an age recipient with a label for what is encrypted to it.
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

// labelReader is the user's age identities, and notes the label on the way.
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

// SealedFacts say what a sealed token is, by its own account.
type SealedFacts struct {
	// Server is the host at which the token was asked for.
	Server string
	// ID and Name are the token's. They come from outside and are not cleaned.
	ID, Name string
}

// Facts returns what the sealed text says of its token. ok is false where it says
// nothing, as one of an older server or of another program.
func (o *OpenedToken) Facts() (_ SealedFacts, ok bool) {
	if o.label == nil || o.label.Prefix != o.Value.Prefix() {
		return SealedFacts{}, false
	}
	return SealedFacts{Server: o.label.Server, ID: o.label.ID, Name: o.label.Name}, true
}

// IsSealedWith reports whether a server sealed the token that had the user's token
// pat, and whether what [OpenedToken.Facts] says is what it wrote.
func (o *OpenedToken) IsSealedWith(pat client.Secret) bool {
	if _, ok := o.Facts(); !ok || len(o.label.MAC) == 0 {
		return false
	}
	mac, err := o.label.mac(pat, o.Value)
	return err == nil && hmac.Equal(mac, o.label.MAC)
}

type serverNameKey struct{}

// WithServerName notes under which name a request reached this server.
func WithServerName(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, serverNameKey{}, host)
}
