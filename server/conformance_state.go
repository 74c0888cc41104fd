//go:build conformance

package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
)

var errRequestState = errors.New("the request state is not one that this server gave out for this request")

// requestStates writes and reads what travels through the client from one round
// of a request to the next. It can be read there, and not be altered.
type requestStates struct{ key []byte }

func newRequestStates() requestStates {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	return requestStates{key}
}

// requestState is what is carried. About is the tool, for which alone it counts.
type requestState struct {
	About string `json:"about"`
	Round int    `json:"round"`
	// Name is what was answered in an earlier round.
	Name string `json:"name,omitempty"`
}

func (s requestStates) seal(state requestState) (string, error) {
	plain, err := json.Marshal(state)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(s.mac(plain), plain...)), nil
}

// open fails for everything but what seal wrote about the same tool.
func (s requestStates) open(about, sealed string) (requestState, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(data) < sha256.Size {
		return requestState{}, errRequestState
	}
	mac, plain := data[:sha256.Size], data[sha256.Size:]
	var state requestState
	if !hmac.Equal(mac, s.mac(plain)) || json.Unmarshal(plain, &state) != nil || state.About != about {
		return requestState{}, errRequestState
	}
	return state, nil
}

func (s requestStates) mac(plain []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(plain)
	return mac.Sum(nil)
}
