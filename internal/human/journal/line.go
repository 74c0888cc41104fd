package journal

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

const (
	// maxLine bounds a line of the journal, in bytes.
	maxLine = 512 << 10
	// maxIDs and maxID bound the ids of a line.
	maxIDs = 100
	maxID  = 200
	// purpose is the salt of the keys that authenticate entries.
	purpose = "kenbun-mcp journal v2"
)

// journalRecord is one line of a file. Lines after a Begin line refer to it by number.
type journalRecord struct {
	Entry int    `json:"entry"`
	Event string `json:"event"`
	// API, Caller, Name, ExpiresAt and At belong to "begin".
	API       string     `json:"api,omitempty"`
	Caller    string     `json:"caller,omitempty"`
	Name      string     `json:"name,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// At is the time of the event.
	At time.Time `json:"at"`
	// IDs belong to "made" and "maybe".
	IDs []string `json:"ids,omitempty"`
	// MAC authenticates the line, in hexadecimal. "done" lines and version 1 have none.
	MAC string `json:"mac,omitempty"`
}

const (
	eventBegin = "begin"
	eventMade  = "made"
	eventMaybe = "maybe"
	eventDone  = "done"
)

// parseJournalLine parses one line. It accepts only what [Journal] writes, byte for byte.
func parseJournalLine(line []byte) (journalRecord, bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) == 0 || len(line) > maxLine || line[0] != '{' {
		return journalRecord{}, false
	}
	var record journalRecord
	if json.Unmarshal(line, &record) != nil || !record.isValid() {
		return journalRecord{}, false
	}
	canonical, err := json.Marshal(record)
	if err != nil || !bytes.Equal(canonical, line) {
		return journalRecord{}, false
	}
	return record, true
}

// isValid reports whether the record has exactly the fields of its event.
func (r *journalRecord) isValid() bool {
	if r.Entry < 1 || r.At.IsZero() || len(r.IDs) > maxIDs || (r.MAC != "" && len(r.MAC) != 2*sha256.Size) {
		return false
	}
	for _, id := range r.IDs {
		if id == "" || len(id) > maxID {
			return false
		}
	}
	begins := r.API != "" && r.Caller != ""
	continues := r.API == "" && r.Caller == "" && r.Name == "" && r.ExpiresAt == nil
	switch r.Event {
	case eventBegin:
		return begins && len(r.IDs) == 0
	case eventMade:
		return continues && len(r.IDs) == 1
	case eventMaybe:
		return continues
	case eventDone:
		return continues && len(r.IDs) == 0 && r.MAC == ""
	default:
		return false
	}
}

// leftBehind is an entry that was not done.
type leftBehind struct {
	begin journalRecord
	made  string
	maybe []string
	// authentic means that every line was written with the caller's token.
	authentic bool
}

// parseJournal returns the open entries of a file, in order. Unreadable lines were cut short by
// a crash, before the next step was taken.
func parseJournal(content []byte, file string, signer journalSigner) []*leftBehind {
	open := map[int]*leftBehind{}
	for line := range bytes.Lines(content) {
		record, ok := parseJournalLine(line)
		if !ok {
			continue
		}
		entry := open[record.Entry]
		if record.Event == eventBegin {
			again := entry != nil // no process begins an entry twice
			entry = &leftBehind{begin: record, authentic: !again && signer.verify(file, "", &record)}
			open[record.Entry] = entry
			continue
		}
		if entry == nil {
			continue
		}
		switch record.Event {
		case eventMade:
			entry.authentic = entry.authentic && entry.made == "" && signer.verify(file, entry.begin.MAC, &record)
			entry.made = record.IDs[0]
		case eventMaybe:
			entry.authentic = entry.authentic && signer.verify(file, entry.begin.MAC, &record)
			entry.maybe = record.IDs
		case eventDone:
			delete(open, record.Entry)
		}
	}
	return slices.SortedFunc(maps.Values(open), func(a, b *leftBehind) int { return cmp.Compare(a.begin.Entry, b.begin.Entry) })
}

// doneLines returns the lines that mark entries as done. It first ends a line that was cut
// short.
func doneLines(content []byte, entries []int) ([]byte, error) {
	var lines bytes.Buffer
	if len(content) > 0 && content[len(content)-1] != '\n' {
		lines.WriteByte('\n')
	}
	for _, entry := range entries {
		line, err := json.Marshal(journalRecord{Entry: entry, Event: eventDone, At: time.Now().UTC()})
		if err != nil {
			return nil, err
		}
		lines.Write(append(line, '\n'))
	}
	return lines.Bytes(), nil
}

// journalSigner authenticates the lines of one caller, under a key derived from the caller's
// token, so that only a program with that token can have something revoked.
type journalSigner struct{ key []byte }

func newJournalSigner(caller tools.Caller) (journalSigner, error) {
	if caller.API == nil {
		return journalSigner{}, errors.New("the journal cannot authenticate entries of this caller")
	}
	key, err := caller.API.DeriveKey(purpose, "entries")
	return journalSigner{key}, err
}

// mac returns the HMAC-SHA-256 of a record in a file. begin is the MAC of the entry's Begin
// line, and empty for that line itself. Fields are prefixed by their lengths, so that the
// input is unambiguous.
func (s journalSigner) mac(file, begin string, r *journalRecord) string {
	mac := hmac.New(sha256.New, s.key)
	write := func(field string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(field)))
		mac.Write(length[:])
		mac.Write([]byte(field))
	}
	ends := ""
	if r.ExpiresAt != nil {
		ends = r.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	for _, field := range []string{
		file, strconv.Itoa(r.Entry), r.Event, r.API, r.Caller, r.Name, ends, r.At.UTC().Format(time.RFC3339Nano), begin,
	} {
		write(field)
	}
	for _, id := range r.IDs {
		write(id)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// verify reports whether a record was written with the caller's token, for this entry and file.
func (s journalSigner) verify(file, begin string, r *journalRecord) bool {
	return r.MAC != "" && hmac.Equal([]byte(r.MAC), []byte(s.mac(file, begin, r)))
}
