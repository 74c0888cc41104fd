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
// documentation, Personal Access Tokens. The two that it does not know stand
// beside them only where a token has them, so that a client that is strict
// about the documentation meets no others.
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

func newListedToken(t token) listedToken {
	return listedToken{
		ID: t.id, Name: t.name, TokenPrefix: t.prefix, CreatedAt: timestamp(t.createdAt),
		LastUsedAt: optionalTimestamp(t.lastUsedAt), ExpiresAt: optionalTimestamp(t.expiresAt), RevokedAt: optionalTimestamp(t.revokedAt),
		ValidFrom: optionalTimestamp(t.validFrom), Permissions: t.permissions.onWire(),
		ParentID: t.parentID,
	}
}

// onWire is nil for a token that is not narrowed.
func (s permissionSet) onWire() []string {
	if s == nil {
		return nil
	}
	return s.names()
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
	var request tokenRequest
	err = decodeObject(body,
		stringField("name", func(s string) error {
			request.name = s
			return nil
		}),
		timeField("expires_at", func(t *time.Time) { request.expires = t }),
		timeField("valid_from", func(t *time.Time) { request.validFrom = t }),
		permissionsField("permissions", func(set permissionSet) { request.permissions = set }))
	if err != nil {
		return refusedBody(err)
	}
	issued, err := a.createTokenAs(r.Context(), as, request)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, createdToken{
		ID: issued.ID, Name: issued.Name, Token: issued.Value, TokenPrefix: issued.Prefix,
		CreatedAt: timestamp(issued.CreatedAt), ExpiresAt: optionalTimestamp(issued.ExpiresAt),
		ValidFrom: optionalTimestamp(issued.validFrom), Permissions: issued.permissions.onWire(),
	})
}

// timeField is a member whose value must be a point in time.
func timeField(name string, take func(*time.Time)) jsonField {
	return stringField(name, func(s string) error {
		t, err := parseTime(name, s)
		take(t)
		return err
	})
}

// permissionsField is a member whose value must be an array of permissions.
func permissionsField(name string, take func(permissionSet)) jsonField {
	return stringsField(name, func(names []string) error {
		set, err := parsePermissions(names)
		take(set)
		return err
	})
}

// refusedBody turns what [decodeObject] says into an answer.
func refusedBody(err error) error {
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return invalid
	}
	return badRequest(err.Error())
}

func (a *Authority) serveListTokens(w http.ResponseWriter, r *http.Request, as identity) error {
	tokens, err := a.tokensOf(r.Context(), as.userID)
	if err != nil {
		return err
	}
	list := make([]listedToken, 0, len(tokens))
	for _, t := range tokens {
		list = append(list, newListedToken(t))
	}
	return writeJSON(w, http.StatusOK, list)
}

func (a *Authority) serveUpdateToken(w http.ResponseWriter, r *http.Request, as identity) error {
	body, err := readJSONBody(w, r)
	if err != nil {
		return err
	}
	var change tokenChange
	err = decodeObject(body,
		stringField("name", func(s string) error {
			change.name = setTo(s)
			return nil
		}),
		nullable(timeField("valid_from", func(t *time.Time) { change.validFrom = setTo(t) }),
			func() { change.validFrom = setTo[*time.Time](nil) }),
		nullable(timeField("expires_at", func(t *time.Time) { change.expires = setTo(t) }),
			func() { change.expires = setTo[*time.Time](nil) }),
		nullable(permissionsField("permissions", func(set permissionSet) { change.permissions = setTo(set) }),
			func() { change.permissions = setTo[permissionSet](nil) }))
	switch {
	case err != nil:
		return refusedBody(err)
	case change.empty():
		return badRequest("send at least one field that is to change: name, valid_from, expires_at, permissions")
	}
	updated, err := a.updateToken(r.Context(), as, r.PathValue("id"), change)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newListedToken(updated))
}

// serveRevokeToken answers 404 for a token that the caller has revoked before.
// Whoever sends a request again because its answer was lost sees in the list
// that it was carried out.
func (a *Authority) serveRevokeToken(w http.ResponseWriter, r *http.Request, as identity) error {
	revoke := a.revokeToken
	switch query := r.URL.Query()["descendants"]; {
	case len(query) == 0:
	case len(query) == 1 && query[0] == "true":
		revoke = a.revokeLine
	default:
		return badRequest("descendants must be true, once, or be left out")
	}
	if err := revoke(r.Context(), as.userID, r.PathValue("id")); err != nil {
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
