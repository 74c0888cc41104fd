package journal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestJournalLine_OnlyWhatTheJournalWrites(t *testing.T) {
	at := time.Date(2026, 11, 30, 10, 0, 0, 123456789, time.UTC)
	good := func(change func(*journalRecord)) string {
		record := journalRecord{Entry: 1, Event: eventBegin, API: "https://api.example", Caller: "c", Name: "n <é>", ExpiresAt: &at, At: at, MAC: strings.Repeat("0", 64)}
		if change != nil {
			change(&record)
		}
		line, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		return string(line)
	}
	later := func(event string, ids ...string) string {
		return good(func(r *journalRecord) {
			*r = journalRecord{Entry: 1, Event: event, At: at, IDs: ids}
		})
	}
	for name, line := range map[string]string{
		"begin": good(nil), "begin with its newline": good(nil) + "\n", "version 1": good(func(r *journalRecord) { r.MAC = "" }),
		"never expires": good(func(r *journalRecord) { r.ExpiresAt = nil }),
		"made":          later(eventMade, "pat_1"), "maybe": later(eventMaybe, "pat_1", "pat_2"), "maybe none": later(eventMaybe), "done": later(eventDone),
	} {
		record, ok := parseJournalLine([]byte(line))
		if !ok {
			t.Errorf("%s is refused: %s", name, line)
			continue
		}
		if again, err := json.Marshal(record); err != nil || !bytes.Equal(again, bytes.TrimSuffix([]byte(line), []byte("\n"))) {
			t.Errorf("%s is read as %s", name, again)
		}
	}
	many := make([]string, maxIDs+1)
	for i := range many {
		many[i] = "pat_1"
	}
	for name, line := range map[string]string{
		"empty": "", "null": "null", "a list": "[]", "not JSON": "{", "two lines": good(nil) + "\n" + good(nil), "more after it": good(nil) + "{}",
		"a blank before it": " " + good(nil), "a field twice": strings.Replace(good(nil), `"entry":1`, `"entry":2,"entry":1`, 1),
		"another case": strings.Replace(good(nil), `"entry"`, `"Entry"`, 1), "unknown field": strings.Replace(good(nil), `{`, `{"x":1,`, 1),
		"another order": `{"event":"done","entry":1,"at":"2026-11-30T10:00:00Z"}`, "escapes": strings.Replace(good(nil), `"n `, `"\u006e `, 1),
		"no number": good(func(r *journalRecord) { r.Entry = 0 }), "negative": good(func(r *journalRecord) { r.Entry = -1 }),
		"unknown event": later("revoke"), "no time": good(func(r *journalRecord) { r.At = time.Time{} }),
		"made without an id": later(eventMade), "made twice": later(eventMade, "a", "b"), "an empty id": later(eventMade, ""),
		"a long id": later(eventMade, strings.Repeat("x", maxID+1)), "many ids": later(eventMaybe, many...), "done with an id": later(eventDone, "a"),
		"made with a name":       good(func(r *journalRecord) { r.Event, r.IDs = eventMade, []string{"a"} }),
		"begin without a caller": good(func(r *journalRecord) { r.Caller = "" }), "begin with an id": good(func(r *journalRecord) { r.IDs = []string{"a"} }),
		"a short MAC": good(func(r *journalRecord) { r.MAC = "00" }), "too long": good(func(r *journalRecord) { r.Name = strings.Repeat("x", maxLine) }),
	} {
		if record, ok := parseJournalLine([]byte(line)); ok {
			t.Errorf("%s is read as %+v", name, record)
		}
	}
}

// Whatever differs gives another MAC, and parts of fields do not flow into each
// other.
func TestJournalLine_MACBindsEveryField(t *testing.T) {
	at := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	later := at.Add(1)
	base := func() (string, string, journalRecord) {
		return "f.journal", "b", journalRecord{Entry: 1, Event: eventMaybe, API: "api", Caller: "caller", Name: "name", ExpiresAt: &at, At: at, IDs: []string{"a", "b"}}
	}
	signer := journalSigner{[]byte("k")}
	file, begin, record := base()
	want := signer.mac(file, begin, &record)
	for name, change := range map[string]func(file, begin *string, r *journalRecord){
		"file":        func(f, _ *string, _ *journalRecord) { *f = "g.journal" },
		"begin":       func(_, b *string, _ *journalRecord) { *b = "" },
		"entry":       func(_, _ *string, r *journalRecord) { r.Entry = 2 },
		"event":       func(_, _ *string, r *journalRecord) { r.Event = eventMade },
		"API":         func(_, _ *string, r *journalRecord) { r.API = "other" },
		"API, caller": func(_, _ *string, r *journalRecord) { r.API, r.Caller = "apicaller", "" },
		"caller":      func(_, _ *string, r *journalRecord) { r.Caller = "other" },
		"name":        func(_, _ *string, r *journalRecord) { r.Name = "other" },
		"no end":      func(_, _ *string, r *journalRecord) { r.ExpiresAt = nil },
		"end":         func(_, _ *string, r *journalRecord) { r.ExpiresAt = &later },
		"time":        func(_, _ *string, r *journalRecord) { r.At = later },
		"ids":         func(_, _ *string, r *journalRecord) { r.IDs = []string{"ab"} },
		"more ids":    func(_, _ *string, r *journalRecord) { r.IDs = []string{"a", "b", ""} },
	} {
		file, begin, record := base()
		change(&file, &begin, &record)
		if signer.mac(file, begin, &record) == want {
			t.Errorf("another %s has the same MAC", name)
		}
	}
	if (journalSigner{[]byte("l")}).mac(file, begin, &record) == want {
		t.Error("another key has the same MAC")
	}
	if signer.verify(file, begin, &record) {
		t.Error("a line without a MAC is taken for verified")
	}
}
