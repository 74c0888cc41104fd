package approval

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// claims are what a question was about. They are sealed into the state that travels through
// the client, and an answer counts only for the same claims.
type claims struct {
	Caller      string `json:"caller"`
	Tool        string `json:"tool"`
	Arguments   string `json:"arguments"`
	Target      string `json:"target"`
	Fingerprint string `json:"fingerprint"`
}

type sealed struct {
	Claims  claims    `json:"claims"`
	Expires time.Time `json:"expires"`
	Nonce   string    `json:"nonce"`
	// Question is the question in the budget, where it has one.
	Question Opened `json:"question,omitzero"`
}

// Why a state does not count. The texts are shown to models.
var (
	errStateAltered = errors.New("it was altered or is not from this server")
	errStateExpired = errors.New("it came too late")
	errStateUsed    = errors.New("it was used before")
	errStateOther   = errors.New("it belongs to another question")
)

// errStateUnknown indicates that it is not known whether a state was used before.
var errStateUnknown = errors.New("whether it was used before cannot be found out right now")

// sealer encrypts and authenticates the state of open questions. A state can be opened once.
type sealer struct {
	aead  cipher.AEAD
	clock func() time.Time
	once  Once

	mu   sync.Mutex
	used map[string]time.Time // nonce to the end of its state
}

// Once reports whether it is called with nonce for the first time within keep.
type Once func(ctx context.Context, nonce string, keep time.Duration) (first bool, err error)

// sealerKeyBytes chooses AES-256.
const sealerKeyBytes = 32

// newSealer returns a sealer whose key lives as long as the process.
func newSealer(clock func() time.Time) *sealer {
	key := make([]byte, sealerKeyBytes)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	s := &sealer{aead: newAEAD(key), clock: clock, used: map[string]time.Time{}}
	s.once = s.onceHere
	return s
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// share makes s use key and once, which other processes share. Nil arguments change nothing.
func (s *sealer) share(key []byte, once Once) error {
	if key != nil {
		if len(key) != sealerKeyBytes {
			return fmt.Errorf("the key for the state of questions has %d bytes, and needs %d", len(key), sealerKeyBytes)
		}
		s.aead = newAEAD(key)
	}
	if once != nil {
		s.once = once
	}
	return nil
}

var stateContext = []byte("kenbun-mcp decision v1")

// seal returns a state for about, which belongs to question and is valid for lives.
func (s *sealer) seal(about claims, question Opened, lives time.Duration) (string, error) {
	plain, err := json.Marshal(sealed{
		Claims:   about,
		Expires:  s.clock().Add(lives),
		Nonce:    rand.Text(),
		Question: question,
	})
	if err != nil {
		return "", fmt.Errorf("seal a question: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, stateContext)), nil //nolint:gosec // the AEAD draws the nonce itself
}

// open reports whether state was sealed for about, in time, and not opened before.
func (s *sealer) open(ctx context.Context, state string, about claims) error {
	opened, err := s.look(state, about)
	if err != nil {
		return err
	}
	first, err := s.once(ctx, opened.Nonce, opened.Expires.Sub(s.clock()))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errStateUnknown, err)
	case !first:
		return errStateUsed
	}
	return nil
}

// look returns what was sealed into state, if that was for about and in time. It does not
// use it up.
func (s *sealer) look(state string, about claims) (opened sealed, err error) {
	box, err := base64.RawURLEncoding.DecodeString(state)
	// Decoding passes over line breaks and loose bits at the end.
	if err != nil || base64.RawURLEncoding.EncodeToString(box) != state {
		return opened, errStateAltered
	}
	plain, err := s.aead.Open(nil, nil, box, stateContext)
	if err != nil {
		return opened, errStateAltered
	}
	if err := json.Unmarshal(plain, &opened); err != nil {
		return opened, errStateAltered
	}
	if !s.clock().Before(opened.Expires) {
		return opened, errStateExpired
	}
	if opened.Claims != about {
		return opened, errStateOther
	}
	return opened, nil
}

// onceHere remembers nonce in this process until its state has expired. Strangers cannot
// fill the memory, since only authentic states come this far.
func (s *sealer) onceHere(_ context.Context, nonce string, keep time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	for old, end := range s.used {
		if !now.Before(end) {
			delete(s.used, old)
		}
	}
	if _, used := s.used[nonce]; used {
		return false, nil
	}
	s.used[nonce] = now.Add(keep)
	return true, nil
}
