package authority

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// maxBodyBytes is far more than any request here needs.
const maxBodyBytes = 64 << 10

// createdToken and listedToken have the fields of the kenbun API
// documentation, Personal Access Tokens, and no others.
type createdToken struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Token       string     `json:"token"`
	TokenPrefix string     `json:"token_prefix"`
	CreatedAt   timestamp  `json:"created_at"`
	ExpiresAt   *timestamp `json:"expires_at"`
}

type listedToken struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	TokenPrefix string     `json:"token_prefix"`
	CreatedAt   timestamp  `json:"created_at"`
	LastUsedAt  *timestamp `json:"last_used_at"`
	ExpiresAt   *timestamp `json:"expires_at"`
	RevokedAt   *timestamp `json:"revoked_at"`
}

// timestamp is written as ISO 8601 in UTC with whole seconds.
type timestamp time.Time

// MarshalText implements [encoding.TextMarshaler].
func (t timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}

func optionalTimestamp(t *time.Time) *timestamp {
	return (*timestamp)(t)
}

func (a *Authority) serveCreateToken(w http.ResponseWriter, r *http.Request, as identity) error {
	body, err := readJSONBody(w, r)
	if err != nil {
		return err
	}
	var name string
	var expires *time.Time
	var invalid *InvalidError
	err = decodeObject(body,
		stringField("name", func(s string) error {
			name = s
			return nil
		}),
		stringField("expires_at", func(s string) error {
			t, err := parseExpiry(s)
			expires = &t
			return err
		}))
	switch {
	case errors.As(err, &invalid):
		return invalid
	case err != nil:
		return badRequest(err.Error())
	}
	issued, err := a.createToken(r.Context(), as.userID, as.orgID, name, expires)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, createdToken{
		ID: issued.ID, Name: issued.Name, Token: issued.Value, TokenPrefix: issued.Prefix,
		CreatedAt: timestamp(issued.CreatedAt), ExpiresAt: optionalTimestamp(issued.ExpiresAt),
	})
}

func (a *Authority) serveListTokens(w http.ResponseWriter, r *http.Request, as identity) error {
	tokens, err := a.tokensOf(r.Context(), as.userID)
	if err != nil {
		return err
	}
	list := make([]listedToken, 0, len(tokens))
	for _, t := range tokens {
		list = append(list, listedToken{
			ID: t.id, Name: t.name, TokenPrefix: t.prefix, CreatedAt: timestamp(t.createdAt),
			LastUsedAt: optionalTimestamp(t.lastUsedAt), ExpiresAt: optionalTimestamp(t.expiresAt), RevokedAt: optionalTimestamp(t.revokedAt),
		})
	}
	return writeJSON(w, http.StatusOK, list)
}

// serveRevokeToken answers 404 for a token that the caller has revoked before.
// Whoever sends a request again because its answer was lost sees in the list
// that it was carried out.
func (a *Authority) serveRevokeToken(w http.ResponseWriter, r *http.Request, as identity) error {
	if err := a.revokeToken(r.Context(), as.userID, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readJSONBody reads a body that says that it is JSON, up to maxBodyBytes.
func readJSONBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// Nothing is unpacked here, and so a small body cannot become a large one.
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, unsupportedMediaType("send the body without a Content-Encoding")
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, unsupportedMediaType("send the body as Content-Type: application/json")
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return nil, unsupportedMediaType("send the body in UTF-8")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, bodyTooLarge()
	case err != nil:
		return nil, badRequest("the body could not be read to its end")
	}
	return body, nil
}
