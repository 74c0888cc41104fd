package bend

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const tokensPath = "/settings/tokens"

// Row is a token as the list shows it, under the API's names. Its values are
// what JSON encodes. A string for a time is sent as it is, so that a row can hold
// what no API should send.
type Row map[string]any

// Add adds a token and returns its id. What row does not say is filled in: an id
// ("pat_2"), a name, a prefix, created 99 days ago, used yesterday, expires in 30
// days, not revoked.
func (a *API) Add(row Row) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.insert(row, newValue())
}

// insert is Add for a known value. a.mu is held, or nobody else has a yet.
func (a *API) insert(row Row, value string) string {
	a.serial++
	full := Row{
		"id": fmt.Sprintf("pat_%d", a.serial), "name": fmt.Sprintf("token %d", a.serial), "token_prefix": value[:16],
		"created_at": day(-99), "last_used_at": day(-1), "expires_at": day(30), "revoked_at": nil,
	}
	maps.Copy(full, row)
	a.rows = append(a.rows, full)
	id := fmt.Sprint(full["id"])
	a.values[value] = id
	return id
}

// Change sets values of a row, as somebody else's doing.
func (a *API) Change(id string, values Row) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if row := a.row(id); row != nil {
		maps.Copy(row, values)
	}
}

// Remove takes a token off the list.
func (a *API) Remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = slices.DeleteFunc(a.rows, func(row Row) bool { return row["id"] == id })
}

// Rows returns the list as it is now.
func (a *API) Rows() []Row {
	a.mu.Lock()
	defer a.mu.Unlock()
	rows := make([]Row, 0, len(a.rows))
	for _, row := range a.rows {
		rows = append(rows, maps.Clone(row))
	}
	return rows
}

// Live returns the ids of the tokens that are not revoked, oldest first.
func (a *API) Live() []string {
	var ids []string
	for _, row := range a.Rows() {
		if row["revoked_at"] == nil {
			ids = append(ids, fmt.Sprint(row["id"]))
		}
	}
	return ids
}

// Revoked reports whether the token is revoked.
func (a *API) Revoked(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	row := a.row(id)
	return row != nil && row["revoked_at"] != nil
}

// row returns the row with this id, nil if there is none. a.mu is held.
func (a *API) row(id string) Row {
	for _, row := range a.rows {
		if row["id"] == id {
			return row
		}
	}
	return nil
}

// day is a time so many days from now.
func day(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.RFC3339) }

// answer is what the API itself answers.
type answer struct {
	status int
	body   any // nil for none
}

func (a answer) send(w http.ResponseWriter) {
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // a client that has gone is no fault of the API's
}

// shape changes the objects of the answer, which are copies.
func (a answer) shape(change func(map[string]any)) {
	switch body := a.body.(type) {
	case Row:
		change(body)
	case []Row:
		for _, row := range body {
			change(row)
		}
	}
}

func problem(status int, code, message string) answer {
	return answer{status, Row{"error": Row{"code": code, "message": message}}}
}

// answer does what r asks for.
func (a *API) answer(r *http.Request, body []byte) answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if row := a.row(a.values[value]); value == "" || row != nil && row["revoked_at"] != nil {
		return problem(http.StatusUnauthorized, "unauthenticated", "the token is not accepted")
	}
	id, isOne := strings.CutPrefix(r.URL.Path, tokensPath+"/")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/me":
		return answer{http.StatusOK, Row{"user_id": "user_1", "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "role": "admin", "verified": true}}
	case r.Method == http.MethodGet && r.URL.Path == "/org-units":
		return answer{http.StatusOK, []Row{{"unit_id": "unit_1", "org_id": "org_1", "name": "Default", "slug": "default", "external_ref": nil, "is_default": true}}}
	case r.Method == http.MethodGet && r.URL.Path == tokensPath:
		rows := make([]Row, 0, len(a.rows))
		for _, row := range a.rows {
			rows = append(rows, maps.Clone(row))
		}
		return answer{http.StatusOK, rows}
	case r.Method == http.MethodPost && r.URL.Path == tokensPath:
		return a.create(body)
	case r.Method == http.MethodPatch && isOne:
		return a.update(id, body)
	case r.Method == http.MethodDelete && isOne:
		return a.revoke(id)
	}
	return problem(http.StatusNotFound, "not_found", "there is no such path")
}

func (a *API) create(body []byte) answer {
	wanted, err := readRow(body)
	if err != nil {
		return problem(http.StatusBadRequest, "invalid_argument", "the body is not JSON")
	}
	value := newValue()
	row := Row{"created_at": day(0), "last_used_at": nil, "expires_at": nil}
	maps.Copy(row, wanted)
	id := a.insert(row, value)
	made := maps.Clone(a.row(id))
	made["token"] = value
	return answer{http.StatusCreated, made}
}

func (a *API) update(id string, body []byte) answer {
	wanted, err := readRow(body)
	row := a.row(id)
	switch {
	case err != nil:
		return problem(http.StatusBadRequest, "invalid_argument", "the body is not JSON")
	case row == nil:
		return problem(http.StatusNotFound, "not_found", "there is no such token")
	case row["revoked_at"] != nil:
		return problem(http.StatusConflict, "token_revoked", "the token is revoked")
	}
	maps.Copy(row, wanted)
	return answer{http.StatusOK, maps.Clone(row)}
}

// revoke answers a second time as the first time: kenbun does not document it.
func (a *API) revoke(id string) answer {
	row := a.row(id)
	if row == nil {
		return problem(http.StatusNotFound, "not_found", "there is no such token")
	}
	if row["revoked_at"] == nil {
		row["revoked_at"] = day(0)
	}
	return answer{status: http.StatusNoContent}
}

func readRow(body []byte) (Row, error) {
	var row Row
	err := json.Unmarshal(body, &row)
	return row, err
}
