package claims

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/kenbun/kenbun-mcp/client"
)

// revokers revoke the tokens that nobody fetched. The API requires one of the user's tokens for
// that, and a server keeps none. So it needs the value of the new token, which at rest only its
// user may be able to open.
//
// Each process has an age identity (X25519) in memory and publishes the recipient in the store.
// A claim holds the value once more, encrypted to all processes that run when it is made. Any of
// them can revoke the token. Once none of them runs, the token is revoked as the user, at their
// next call ([Claims.Recover]).
type revokers struct {
	identity *age.X25519Identity
}

const (
	revokersKey = "claim-revokers"
	revokersAAD = "kenbun-mcp claim revokers v1"
	// A process that did not publish its recipient for revokerLives has ended.
	revokerLives = 2 * time.Minute
	maxRevokers  = 64
	// maxValue bounds the value of a token, in bytes.
	maxValue = 64 << 10
)

// errNotARevoker indicates that this process did not run when a claim was made.
var errNotARevoker = errors.New("this process cannot revoke the token: it was started after the token was made")

func newRevokers() (*revokers, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("prepare the revocation of claims: %w", err)
	}
	return &revokers{identity: identity}, nil
}

// open opens a copy of a value. The error is errNotARevoker.
func (r *revokers) open(sealed []byte) (client.Secret, error) {
	opened, err := age.Decrypt(bytes.NewReader(sealed), r.identity)
	if err != nil {
		return client.Secret{}, errNotARevoker
	}
	value, err := io.ReadAll(io.LimitReader(opened, maxValue))
	defer clear(value)
	if err != nil {
		return client.Secret{}, errNotARevoker
	}
	return client.NewSecret(string(value)), nil
}

// revoker is a process that can revoke tokens.
type revoker struct {
	Recipient string    `json:"recipient"`
	Until     time.Time `json:"until"`
}

// Join publishes this process as a revoker, for a while. [Claims.Sweep] repeats it.
func (c *Claims) Join(ctx context.Context) error {
	own := c.revokers.identity.Recipient().String()
	return c.update(ctx, revokersKey, revokerLives, func() (old, next []byte, _ error) {
		old, others, err := c.readRevokers(ctx)
		if err != nil {
			return nil, nil, err
		}
		kept := []revoker{{Recipient: own, Until: c.now().Add(revokerLives)}}
		for _, other := range others {
			if other.Recipient != own && other.Until.After(c.now()) && len(kept) < maxRevokers {
				kept = append(kept, other)
			}
		}
		plain, err := json.Marshal(kept)
		if err != nil {
			return nil, nil, fmt.Errorf("write the list of revokers: %w", err)
		}
		return old, base64.StdEncoding.AppendEncode(nil, c.aead.Seal(nil, nil, plain, []byte(revokersAAD))), nil //nolint:gosec // the AEAD draws the nonce itself
	})
}

// readRevokers returns the list, also in its stored form. Adding to it requires the store's key.
func (c *Claims) readRevokers(ctx context.Context) (sealed []byte, list []revoker, _ error) {
	sealed, ok, err := c.store.Get(ctx, revokersKey)
	if err != nil || !ok {
		return nil, nil, err
	}
	box, err := base64.StdEncoding.DecodeString(string(sealed))
	if err != nil {
		box = nil // which does not open either
	}
	plain, err := c.aead.Open(nil, nil, box, []byte(revokersAAD))
	if err != nil || json.Unmarshal(plain, &list) != nil {
		c.log.Error("the list of replicas that can revoke was altered, or encrypted under another key; it is made anew")
		return sealed, nil, nil //nolint:nilerr // it was just said
	}
	return sealed, list, nil
}

// sealToRevoke encrypts a value to all revokers.
func (c *Claims) sealToRevoke(ctx context.Context, value client.Secret) ([]byte, error) {
	recipients := []age.Recipient{c.revokers.identity.Recipient()}
	_, list, err := c.readRevokers(ctx)
	if err != nil {
		return nil, err
	}
	own := c.revokers.identity.Recipient().String()
	for _, r := range list {
		if r.Recipient == own || !r.Until.After(c.now()) {
			continue
		}
		recipient, err := age.ParseX25519Recipient(r.Recipient)
		if err != nil {
			return nil, fmt.Errorf("read who can revoke: %w", err)
		}
		recipients = append(recipients, recipient)
	}
	var sealed bytes.Buffer
	encrypted, err := age.Encrypt(&sealed, recipients...)
	if err == nil {
		_, err = io.WriteString(encrypted, value.Reveal())
	}
	if err == nil {
		err = encrypted.Close()
	}
	if err != nil {
		return nil, errors.New("the value could not be encrypted for its revocation")
	}
	return sealed.Bytes(), nil
}
