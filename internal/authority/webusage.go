package authority

import (
	"net/http"
	"strconv"
	"time"
)

type usageView struct {
	Facts []fact
	Uses  []useRow
	Pages pageLinks
}

type useRow struct {
	At           time.Time
	Method, Path string
	Status       int
	RequestID    string
}

func (a *Authority) serveUsagePage(w http.ResponseWriter, r *http.Request, as identity) error {
	t, err := a.ownToken(r, as)
	if err != nil {
		return err
	}
	// How many pages there are is known with the first that is read.
	number := askedPage(r)
	address := func(page int) string { return tokenPath(t.id) + "/usage?page=" + strconv.Itoa(page) }
	uses, total, err := a.usesOf(r.Context(), as.userID, t.id, number, defaultPageSize)
	if err != nil {
		return err
	}
	view := usageView{Facts: t.facts(a.now()), Pages: newPageLinks(number, total, defaultPageSize, address)}
	if view.Pages.Number != number {
		if uses, _, err = a.usesOf(r.Context(), as.userID, t.id, view.Pages.Number, defaultPageSize); err != nil {
			return err
		}
	}
	for _, u := range uses {
		view.Uses = append(view.Uses, useRow{At: u.at, Method: u.method, Path: u.path, Status: u.status, RequestID: u.requestID})
	}
	return a.show(w, as, webPage{template: "usage", status: http.StatusOK, title: "Usage of a token", wide: true, data: view})
}
