package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// lateBody notes when somebody began to read it.
type lateBody struct {
	io.Reader
	begun *time.Time
}

func (b lateBody) Read(p []byte) (int, error) {
	if b.begun.IsZero() {
		*b.begun = time.Now()
	}
	return b.Reader.Read(p)
}

// A form that comes slowly must leave time for its answer, as the body of a request of
// the API does: what the server gives for an answer counts from the head on.
func TestR25_ALateFormIsAnsweredInTime(t *testing.T) {
	h := &Handler{Gateway: &exchange.Gateway{Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	var end, begun time.Time
	table := exchange.NewTable([]exchange.Route{{Method: http.MethodPost, Pattern: rootPath + "/late", Open: true, Serve: func(_ http.ResponseWriter, r *http.Request, _ domain.Identity) error {
		end, _ = r.Context().Deadline()
		return nil
	}}})
	r := httptest.NewRequestWithContext(t.Context(), "POST", rootPath+"/late", lateBody{strings.NewReader("x="), &begun})
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := h.serveWeb(&exchange.Exchange{ResponseWriter: httptest.NewRecorder()}, r, table); err != nil {
		t.Fatal(err)
	}
	if begun.IsZero() || end.IsZero() || end.After(begun.Add(exchange.RequestTimeout)) {
		t.Errorf("the form was read from %s on, and its answer may take until %s", begun, end)
	}
}

func TestS5_AnUntouchedFormChangesNothing(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 123456000, time.UTC)
	begin, end := now.Truncate(time.Second), now.Add(time.Hour).Truncate(time.Second)
	for name, token := range map[string]domain.Token{
		"plain":    {Name: "Laptop"},
		"narrowed": {Name: "Laptop", ValidFrom: &begin, ExpiresAt: &end, Permissions: domain.NewPermissionSet(domain.ReadLeads, domain.ReadTokens)},
	} {
		values := &formValues{Values: shown(token), problems: map[string]string{}}
		if change := changeOf(token, values, now); !change.Empty() || len(values.problems) > 0 {
			t.Errorf("%s: the form changes %+v, %v", name, change, values.problems)
		}
	}
}
