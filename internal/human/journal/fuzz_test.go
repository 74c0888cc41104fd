package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever stands in a journal, reading it ends with entries that were begun and
// not done, each once and in order. Lines that were not written with the
// caller's token are never authentic. A crash may cut a line short at any byte.
func FuzzJournalLines(f *testing.F) {
	begin := `{"entry":1,"event":"begin","api":"a","caller":"c","name":"n","at":"2026-03-28T10:00:00Z"}` + "\n"
	f.Add([]byte(begin+`{"entry":1,"event":"made","at":"2026-03-28T10:00:01Z","ids":["pat_1"]}`+"\n"), 5, "n")
	f.Add([]byte(begin+`{"entry":1,"event":"maybe","at":"2026-03-28T10:00:01Z","ids":["pat_1","pat_2"]}`+"\n"+`{"entry":1,"event":"done","at":"2026-03-28T10:00:01Z"}`+"\n"), 200, "\u202e")
	f.Add([]byte(begin+begin+`{"entry":1,"event":"made","at":"2026-03-28T10:00:01Z","ids":[]}`), 100, "")
	f.Add([]byte("\n{}\nnull\n[1]\n{\"entry\":-1,\"event\":\"begin\"}"), 3, "<\xff>")
	signer := journalSigner{[]byte(rand.Text())}
	f.Fuzz(func(t *testing.T, content []byte, cut int, name string) {
		before := bytes.Clone(content)
		entries := parseJournal(content, "x.journal", signer)
		if !bytes.Equal(before, content) {
			t.Fatal("reading changed the content")
		}
		if got, want := numbers(entries), stillOpen(t, content); !slices.Equal(got, want) {
			t.Fatalf("%q: entries %v, want %v", content, got, want)
		}
		for _, entry := range entries {
			if entry.authentic {
				t.Fatalf("%q: a line that was not written with the token is authentic", content)
			}
		}

		// A crash cuts the last line short: what was whole before it still counts.
		torn := content[:max(0, min(cut, len(content)))]
		whole := torn[:bytes.LastIndexByte(torn, '\n')+1]
		open := numbers(parseJournal(torn, "x.journal", signer))
		if !json.Valid(torn[len(whole):]) && !slices.Equal(open, numbers(parseJournal(whole, "x.journal", signer))) {
			t.Errorf("%q counts more than its whole lines", torn)
		}
		// An entry that was dealt with is gone, also behind a line that was cut short.
		if len(open) > 0 {
			done, err := doneLines(torn, open[:1])
			if err != nil {
				t.Fatal(err)
			}
			if got := numbers(parseJournal(slices.Concat(torn, done), "x.journal", signer)); !slices.Equal(got, open[1:]) {
				t.Errorf("%q: after entry %d was dealt with, %v are left of %v", torn, open[0], got, open)
			}
		}

		// What is written with the token is read back as authentic, in its file alone
		// and as it was written alone.
		record := journalRecord{Entry: 1 + len(content), Event: eventBegin, API: "a", Caller: "c", Name: strings.ToValidUTF8(name, ""), At: time.Unix(int64(cut), 0).UTC()}
		record.MAC = signer.mac("x.journal", "", &record)
		line, err := json.Marshal(record)
		if err != nil || record.At.IsZero() || len(line) > maxLine {
			return // not a line that a journal writes
		}
		if got := parseJournal(line, "x.journal", signer); len(got) != 1 || !got[0].authentic || got[0].begin.Name != record.Name {
			t.Fatalf("%q is not read back: %+v", line, got)
		}
		altered := bytes.Clone(line)
		altered[uint(cut)%uint(len(altered))] ^= 1
		for what, got := range map[string][]*leftBehind{
			"in another file":    parseJournal(line, "y.journal", signer),
			"altered":            parseJournal(altered, "x.journal", signer),
			"twice":              parseJournal(slices.Concat(line, []byte("\n"), line), "x.journal", signer),
			"with another token": parseJournal(line, "x.journal", journalSigner{[]byte(rand.Text())}),
		} {
			if len(got) > 1 || (len(got) == 1 && got[0].authentic) {
				t.Errorf("%q %s is authentic", line, what)
			}
		}
	})
}

func numbers(entries []*leftBehind) []int {
	var numbers []int
	for _, entry := range entries {
		numbers = append(numbers, entry.begin.Entry)
	}
	return numbers
}

// stillOpen is the numbers of the open entries by a reading of its own. A line
// counts if it is what it is written as again.
func stillOpen(t *testing.T, content []byte) []int {
	var open []int
	for _, line := range bytes.Split(content, []byte("\n")) {
		record, ok := parseJournalLine(line)
		if !ok {
			continue
		}
		if again, err := json.Marshal(record); err != nil || !bytes.Equal(again, line) || record.Entry < 1 {
			t.Fatalf("%q was accepted, which would have been written as %q (%v)", line, again, err)
		}
		if at := slices.Index(open, record.Entry); record.Event == "done" && at >= 0 {
			open = slices.Delete(open, at, at+1)
		} else if record.Event == "begin" && at < 0 {
			open = append(open, record.Entry)
		}
	}
	slices.Sort(open)
	return open
}
