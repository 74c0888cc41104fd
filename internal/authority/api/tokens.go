package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// createdToken and listedToken have the fields of the kenbun API documentation, Personal
// Access Tokens. The two further fields appear only where a token has them, for strict
// clients.
type createdToken struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Token       string     `json:"token"`
	TokenPrefix string     `json:"token_prefix"`
	CreatedAt   timestamp  `json:"created_at"`
	ExpiresAt   *timestamp `json:"expires_at"`
	ValidFrom   *timestamp `json:"valid_from,omitempty"`
	Permissions []string   `json:"permissions,omitzero"`
}

type listedToken struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	TokenPrefix string     `json:"token_prefix"`
	CreatedAt   timestamp  `json:"created_at"`
	LastUsedAt  *timestamp `json:"last_used_at"`
	ExpiresAt   *timestamp `json:"expires_at"`
	RevokedAt   *timestamp `json:"revoked_at"`
	ValidFrom   *timestamp `json:"valid_from,omitempty"`
	Permissions []string   `json:"permissions,omitzero"`
	ParentID    string     `json:"parent_id,omitempty"`
}

func newListedToken(t domain.Token) listedToken {
	return listedToken{
		ID: t.ID, Name: t.Name, TokenPrefix: t.Prefix, CreatedAt: timestamp(t.CreatedAt),
		LastUsedAt: optionalTimestamp(t.LastUsedAt), ExpiresAt: optionalTimestamp(t.ExpiresAt), RevokedAt: optionalTimestamp(t.RevokedAt),
		ValidFrom: optionalTimestamp(t.ValidFrom), Permissions: onWire(t.Permissions),
		ParentID: t.ParentID,
	}
}

// onWire returns nil for a token that is not narrowed.
func onWire(s domain.PermissionSet) []string {
	if s == nil {
		return nil
	}
	return s.Names()
}

// timestamp is written as ISO 8601 in UTC with whole seconds.
type timestamp time.Time

// MarshalText implements [encoding.TextMarshaler].
func (t timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}

func optionalTimestamp(t *time.Time) *timestamp { return (*timestamp)(t) }

func (a *API) serveCreateToken(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	body, err := readJSONBody(w, r)
	if err != nil {
		return err
	}
	var request domain.TokenRequest
	err = decodeObject(body,
		stringField("name", func(s string) error {
			request.Name = s
			return nil
		}),
		timeField("expires_at", func(t *time.Time) { request.Expires = t }),
		timeField("valid_from", func(t *time.Time) { request.ValidFrom = t }),
		permissionsField("permissions", func(set domain.PermissionSet) { request.Permissions = set }))
	if err != nil {
		return refusedBody(err)
	}
	issued, err := a.Tokens.Create(r.Context(), as, request)
	if err != nil {
		return err
	}
	return exchange.WriteJSON(w, http.StatusCreated, createdToken{
		ID: issued.ID, Name: issued.Name, Token: issued.Value, TokenPrefix: issued.Prefix,
		CreatedAt: timestamp(issued.CreatedAt), ExpiresAt: optionalTimestamp(issued.ExpiresAt),
		ValidFrom: optionalTimestamp(issued.ValidFrom), Permissions: onWire(issued.Permissions),
	})
}

// timeField is a member whose value must be a point in time.
func timeField(name string, take func(*time.Time)) jsonField {
	return stringField(name, func(s string) error {
		t, err := domain.ParseTime(name, s)
		take(t)
		return err
	})
}

// permissionsField is a member whose value must be an array of permissions.
func permissionsField(name string, take func(domain.PermissionSet)) jsonField {
	return stringsField(name, func(names []string) error {
		set, err := domain.ParsePermissions(names)
		take(set)
		return err
	})
}

// refusedBody turns what [decodeObject] says into an answer.
func refusedBody(err error) error {
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) {
		return invalid
	}
	return exchange.BadRequest(err.Error())
}

func (a *API) serveListTokens(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	tokens, err := a.Tokens.TokensOf(r.Context(), as.UserID)
	if err != nil {
		return err
	}
	list := make([]listedToken, 0, len(tokens))
	for _, t := range tokens {
		list = append(list, newListedToken(t))
	}
	return exchange.WriteJSON(w, http.StatusOK, list)
}

func (a *API) serveUpdateToken(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	body, err := readJSONBody(w, r)
	if err != nil {
		return err
	}
	var change domain.TokenChange
	err = decodeObject(body,
		stringField("name", func(s string) error {
			change.Name = domain.SetTo(s)
			return nil
		}),
		nullable(timeField("valid_from", func(t *time.Time) { change.ValidFrom = domain.SetTo(t) }),
			func() { change.ValidFrom = domain.SetTo[*time.Time](nil) }),
		nullable(timeField("expires_at", func(t *time.Time) { change.Expires = domain.SetTo(t) }),
			func() { change.Expires = domain.SetTo[*time.Time](nil) }),
		nullable(permissionsField("permissions", func(set domain.PermissionSet) { change.Permissions = domain.SetTo(set) }),
			func() { change.Permissions = domain.SetTo[domain.PermissionSet](nil) }))
	switch {
	case err != nil:
		return refusedBody(err)
	case change.Empty():
		return exchange.BadRequest("send at least one field that is to change: name, valid_from, expires_at, permissions")
	}
	updated, err := a.Tokens.Update(r.Context(), as, r.PathValue("id"), change)
	if err != nil {
		return err
	}
	return exchange.WriteJSON(w, http.StatusOK, newListedToken(updated))
}

// serveRevokeToken answers 404 for a token that was revoked before. After a lost answer,
// the caller can look at the list.
func (a *API) serveRevokeToken(w http.ResponseWriter, r *http.Request, as domain.Identity) error {
	revoke := a.Tokens.Revoke
	switch query := r.URL.Query()["descendants"]; {
	case len(query) == 0:
	case len(query) == 1 && query[0] == "true":
		revoke = a.Tokens.RevokeLine
	default:
		return exchange.BadRequest("descendants must be true, once, or be left out")
	}
	if err := revoke(r.Context(), as.UserID, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readJSONBody reads a JSON body of up to [exchange.MaxBody] bytes.
func readJSONBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// Nothing is decompressed, so a small body stays small.
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, exchange.UnsupportedMediaType("send the body without a Content-Encoding")
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, exchange.UnsupportedMediaType("send the body as Content-Type: application/json")
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return nil, exchange.UnsupportedMediaType("send the body in UTF-8")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, exchange.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, exchange.BodyTooLarge()
	case err != nil:
		return nil, exchange.BadRequest("the body could not be read to its end")
	}
	return body, nil
}
