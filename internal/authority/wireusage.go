package authority

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

const (
	defaultPageSize = 25
	maxPageSize     = 100

	// maxPage keeps the number of rows that are passed over within what both
	// databases count with.
	maxPage = 1_000_000_000
)

// usagePage has the form of the kenbun API's paged lists.
type usagePage struct {
	Uses  []usageRow `json:"uses"`
	Total int        `json:"total"`
	Page  int        `json:"page"`
	Limit int        `json:"limit"`
}

type usageRow struct {
	At        timestamp `json:"at"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"`
	RequestID string    `json:"request_id"`
}

func (a *Authority) serveUsage(w http.ResponseWriter, r *http.Request, as identity) error {
	page, limit, err := pageOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	uses, total, err := a.usesOf(r.Context(), as.userID, r.PathValue("id"), page, limit)
	if err != nil {
		return err
	}
	answer := usagePage{Uses: make([]usageRow, 0, len(uses)), Total: total, Page: page, Limit: limit}
	for _, u := range uses {
		answer.Uses = append(answer.Uses, usageRow{At: timestamp(u.at), Method: u.method, Path: u.path, Status: u.status, RequestID: u.requestID})
	}
	return writeJSON(w, http.StatusOK, answer)
}

// pageOf reads page and limit out of a query. It is as strict as the bodies
// are: a misspelt parameter that is passed over answers another question than
// the one that was asked.
func pageOf(rawQuery string) (page, limit int, err error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return 0, 0, badRequest("the query is not properly encoded")
	}
	page, limit = 1, defaultPageSize
	for name, values := range query {
		if len(values) > 1 {
			return 0, 0, badRequest(plaintext.QuoteShort(name) + " comes more than once in the query: send it once")
		}
		switch name {
		case "page":
			page, err = countParameter(name, values[0], maxPage)
		case "limit":
			limit, err = countParameter(name, values[0], maxPageSize)
		default:
			err = badRequest("there is no parameter " + plaintext.QuoteShort(name) + " here: the parameters are page, limit")
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return page, limit, nil
}

func countParameter(name, value string, greatest int) (int, error) {
	n, err := strconv.Atoi(value)
	// Atoi takes a sign, which a count has not.
	if err != nil || n < 1 || n > greatest || value[0] == '+' {
		return 0, badRequest(fmt.Sprintf("%s must be a whole number from 1 to %d", name, greatest))
	}
	return n, nil
}
