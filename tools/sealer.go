package tools

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// claims are what a question was about. They are sealed into the state that
// travels through the client, and an answer counts only for the same claims.
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
}

// Why a state does not count. The texts are shown to models.
var (
	errStateAltered = errors.New("it was altered or is not from this server")
	errStateExpired = errors.New("it came too late")
	errStateUsed    = errors.New("it was used before")
	errStateOther   = errors.New("it belongs to another question")
)

// sealer encrypts and authenticates the state of open questions with a key that
// lives as long as the process. A state can be opened once.
type sealer struct {
	aead  cipher.AEAD
	clock func() time.Time

	mu   sync.Mutex
	used map[string]time.Time // nonce to the end of its state
}

func newSealer(clock func() time.Time) *sealer {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return &sealer{aead: aead, clock: clock, used: map[string]time.Time{}}
}

var stateContext = []byte("kenbun-mcp decision v1")

func (s *sealer) seal(about claims) (string, error) {
	plain, err := json.Marshal(sealed{
		Claims:  about,
		Expires: s.clock().Add(decisionTimeout),
		Nonce:   rand.Text(),
	})
	if err != nil {
		return "", fmt.Errorf("seal a question: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, stateContext)), nil //nolint:gosec // the AEAD draws the nonce itself
}

// open reports whether state was sealed for about, in time, and not opened
// before.
func (s *sealer) open(state string, about claims) error {
	box, err := base64.RawURLEncoding.DecodeString(state)
	// Decoding passes over line breaks and loose bits at the end.
	if err != nil || base64.RawURLEncoding.EncodeToString(box) != state {
		return errStateAltered
	}
	plain, err := s.aead.Open(nil, nil, box, stateContext)
	if err != nil {
		return errStateAltered
	}
	var opened sealed
	if err := json.Unmarshal(plain, &opened); err != nil {
		return errStateAltered
	}
	now := s.clock()
	if !now.Before(opened.Expires) {
		return errStateExpired
	}
	if opened.Claims != about {
		return errStateOther
	}
	return s.use(opened.Nonce, opened.Expires, now)
}

// use remembers nonce until its state has expired by itself. Only states that
// this server sealed come so far, so that strangers cannot fill the memory.
func (s *sealer) use(nonce string, expires, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, end := range s.used {
		if !now.Before(end) {
			delete(s.used, old)
		}
	}
	if _, used := s.used[nonce]; used {
		return errStateUsed
	}
	s.used[nonce] = expires
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
