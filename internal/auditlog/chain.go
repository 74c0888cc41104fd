package auditlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
)

// An entry's line ends with these fields:
//
//	,"previous":"<hash of the entry before, or nothing>","hash":"<its own>"}
//
// The hash is the SHA-256, in hexadecimal digits, of the line without the field
// hash. Both fields have one form only and stand at the end, so what is hashed
// can be told in one way only, and any program can do it.
const (
	entryStart    = `{"time":"`
	previousField = `,"previous":"`
	hashField     = `,"hash":"`
	fieldEnd      = `"`
	entryEnd      = `}`

	hashLength = 2 * sha256.Size
)

// maxLine bounds a line, in bytes. Package tools cuts what stands in an entry, so
// that one has less than half of it: behind a part of an entry of any length, the
// end of the entry before is still in sight.
const maxLine = 128 << 10

// link is what the end of a line tells.
type link struct {
	// previous is empty where a chain begins.
	previous string
	hash     string
	// matches tells that the line is the one that was hashed.
	matches bool
}

// seal returns the line of an entry that comes after the one with the hash
// previous, without a line break, and its own hash.
func seal(entry []byte, previous string) (line []byte, hash string) {
	open := bytes.TrimSuffix(entry, []byte(entryEnd))
	line = make([]byte, 0, len(open)+2*hashLength+len(previousField+fieldEnd+hashField+fieldEnd+entryEnd))
	line = append(append(line, open...), previousField+previous+fieldEnd...)
	hash = sum(line)
	return append(line, hashField+hash+fieldEnd+entryEnd...), hash
}

// sum is the hash of a line that goes on with the field hash behind open.
func sum(open []byte) string {
	h := sha256.New()
	h.Write(open)
	h.Write([]byte(entryEnd))
	return hex.EncodeToString(h.Sum(nil))
}

// readLink reads the end of a line; ok is false if it is not that of an entry
// with a hash. The line's beginning may be missing if matches does not count.
func readLink(line []byte) (_ link, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(fieldEnd+entryEnd))
	if !ok {
		return link{}, false
	}
	rest, hash := cutHash(rest)
	open, ok := bytes.CutSuffix(rest, []byte(hashField))
	if !ok || hash == "" {
		return link{}, false
	}
	rest, ok = bytes.CutSuffix(open, []byte(fieldEnd))
	if !ok {
		return link{}, false
	}
	rest, previous := cutHash(rest)
	if !bytes.HasSuffix(rest, []byte(previousField)) {
		return link{}, false
	}
	return link{previous, hash, sum(open) == hash}, true
}

// cutHash takes a hash away from the end of text, "" if there is none.
func cutHash(text []byte) (before []byte, hash string) {
	if len(text) < hashLength {
		return text, ""
	}
	before, end := text[:len(text)-hashLength], text[len(text)-hashLength:]
	if hexDigits(end) < hashLength {
		return text, ""
	}
	return before, string(end)
}

// IsHash reports whether text has the form of a hash in the audit log.
func IsHash(text string) bool {
	return len(text) == hashLength && hexDigits([]byte(text)) == hashLength
}

// hexDigits counts those by which text begins.
func hexDigits(text []byte) int {
	for i, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return i
		}
	}
	return len(text)
}

// isFragment reports whether line is the beginning of an entry and not the whole
// of it, as a process leaves it that is killed while it writes.
func isFragment(line []byte) bool {
	if len(line) == 0 || !bytes.HasPrefix(line, []byte(entryStart)) && !bytes.HasPrefix([]byte(entryStart), line) {
		return false
	}
	// Raw quotes are in no text within JSON: this is the field and nothing else.
	if _, end, found := bytes.Cut(line, []byte(previousField)); found {
		return beginsLinkEnd(end)
	}
	if bytes.Contains(line, []byte(hashField)) {
		return false
	}
	var whole json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(&whole), io.ErrUnexpectedEOF)
}

// beginsLinkEnd reports whether text is the beginning of what follows
// previousField, and not the whole of it.
func beginsLinkEnd(text []byte) bool {
	const between = fieldEnd + hashField
	digits := hexDigits(text)
	rest := text[digits:]
	switch {
	case len(rest) == 0:
		return digits <= hashLength
	case digits != 0 && digits != hashLength:
		return false
	case len(rest) < len(between):
		return bytes.HasPrefix([]byte(between), rest)
	}
	rest, found := bytes.CutPrefix(rest, []byte(between))
	digits = hexDigits(rest)
	end := rest[digits:]
	return found && (len(end) == 0 && digits <= hashLength || digits == hashLength && string(end) == fieldEnd)
}

// hasLinkField reports whether a line has at least a part of what entries with a
// hash end with, so that none from before there were hashes can be like it.
func hasLinkField(line []byte) bool {
	return bytes.HasPrefix(line, []byte(entryStart)) && (bytes.Contains(line, []byte(previousField)) || bytes.Contains(line, []byte(hashField)))
}

// isUnlinked reports whether a line is an entry from before there were hashes.
func isUnlinked(line []byte) bool {
	return bytes.HasPrefix(line, []byte(entryStart)) && json.Valid(line) && !hasLinkField(line)
}
