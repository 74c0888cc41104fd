package journal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

const (
	// maxLine bounds a line of the journal, in bytes.
	maxLine = 512 << 10
	// maxIDs and maxJournalID bound the ids of a line.
	maxIDs = 100
	maxID  = 200
	// purpose is the salt of the keys that authenticate entries.
	purpose = "kenbun-mcp journal v2"
)

// journalRecord is one line of a file. What follows on a Begin line names the
// entry by its number.
type journalRecord struct {
	Entry int    `json:"entry"`
	Event string `json:"event"`
	// API, Caller, Name, ExpiresAt and At belong to "begin".
	API       string     `json:"api,omitempty"`
	Caller    string     `json:"caller,omitempty"`
	Name      string     `json:"name,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// At is when it happened.
	At time.Time `json:"at"`
	// IDs belong to "made" and "maybe".
	IDs []string `json:"ids,omitempty"`
	// MAC authenticates the line, in hexadecimal. Lines of version 1 and "done"
	// lines have none.
	MAC string `json:"mac,omitempty"`
}

const (
	eventBegin = "begin"
	eventMade  = "made"
	eventMaybe = "maybe"
	eventDone  = "done"
)

// parseJournalLine parses one line, with or without its newline. It accepts
// only what [Journal] writes, byte for byte: no other order or case of fields,
// no field twice, no unknown field, nothing after the object.
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

// isValid reports whether the record has the fields that its event has, and no
// others.
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

// journalSigner authenticates the lines of one caller. The key is derived from
// the caller's token, so that only a program with that token can write a line
// on which something is revoked.
type journalSigner struct{ key []byte }

func newJournalSigner(caller tools.Caller) (journalSigner, error) {
	if caller.API == nil {
		return journalSigner{}, errors.New("the journal cannot authenticate entries of this caller")
	}
	key, err := caller.API.DeriveKey(purpose, "entries")
	return journalSigner{key}, err
}

// mac returns the HMAC-SHA-256 of a record in a file. begin is the MAC of the
// entry's Begin line, to which each later line is bound; it is empty for that
// line itself. Every field has its length before it, so that no two records
// give the same input.
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

// verify reports whether a record was written by a program with the caller's
// token, as this entry of this file.
func (s journalSigner) verify(file, begin string, r *journalRecord) bool {
	return r.MAC != "" && hmac.Equal([]byte(r.MAC), []byte(s.mac(file, begin, r)))
}
