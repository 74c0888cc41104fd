package auditlog

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Options say what a [Verifier] takes for whole.
type Options struct {
	// Stream is for streams of processes: each begins a chain, lines of several may be
	// mixed, and other lines may stand between them. Otherwise a chain begins at the top of
	// a file, or after entries without hashes, and goes on in the next file.
	Stream bool
	// After are the hashes of entries before the first ones that are read.
	After []string
	// PublicKey is the key that signed every entry with a hash. Nil: signatures are ignored,
	// and the hashes are only checksums.
	PublicKey ed25519.PublicKey
	// Last are hashes that were the last ones when they were kept elsewhere.
	Last []string
}

// Verifier reads an audit log, file by file, and keeps only where chains begin and end. It
// finds each entry that was changed, moved or removed, except at the end, which only
// [Options.Last] covers. Without [Options.PublicKey] it misses changes by somebody who
// recomputed all later hashes.
type Verifier struct {
	options Options
	report  Report
	// place is that of the line being read.
	place Place
	// isTop is true up to the first entry with a hash in a file, afterUnlinked after one
	// that has none.
	isTop, afterUnlinked bool
	// open are the chains that can go on, by their last hash. Without Options.Stream only
	// current can, or the end of another file at the top of one.
	open    map[string]*Chain
	current *Chain
	// begun are the hashes of the entries with which chains and files began.
	begun map[string]bool
}

// NewVerifier returns a verifier that has read nothing.
func NewVerifier(options Options) *Verifier {
	v := &Verifier{options: options, open: map[string]*Chain{}, begun: map[string]bool{}}
	for _, hash := range options.Last {
		v.report.Kept = append(v.report.Kept, Kept{Hash: hash})
	}
	v.report.Chains = []*Chain{}
	return v
}

// Read goes on with the next file. It uses a few hundred bytes for each chain, and 128 KiB.
// The error is that of in, or that there are more than 10000 chains; problems of the log are
// in the report.
func (v *Verifier) Read(name string, in io.Reader) error {
	v.place = Place{File: name}
	v.isTop, v.afterUnlinked = true, false
	lines := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			v.place.Line++
			v.line(bytes.TrimSuffix(line, []byte{'\n'}), errors.Is(err, bufio.ErrBufferFull))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF):
			v.endFile()
			return nil
		case err != nil:
			return fmt.Errorf("%s cannot be read: %w", name, err)
		case len(v.report.Chains) > maxChains:
			return fmt.Errorf("%s: there are more than %d chains: verify a part of the log", v.place, maxChains)
		}
	}
}

// Report returns what was found so far.
func (v *Verifier) Report() *Report {
	report := v.report
	report.Kept = slices.Clone(report.Kept)
	for i, kept := range report.Kept {
		if kept.At != nil {
			report.Kept[i].Following = report.Entries - kept.ordinal
		}
	}
	return &report
}

func (v *Verifier) endFile() {
	if v.current != nil {
		v.open[v.current.Last] = v.current
	}
}

func (v *Verifier) line(line []byte, isCut bool) {
	end, isEntry := readLink(line)
	switch {
	case isEntry && !isCut:
		v.entry(line, end)
	case v.options.Stream && (isCut || !hasLinkField(line)):
		v.report.Other++
	case isCut:
		v.broken(KindNoEntry)
	case isFragment(line):
		v.fragment()
	case hasLinkField(line):
		v.broken(KindChanged)
	case !isUnlinked(line):
		v.broken(KindNoEntry)
	case v.report.Entries > 0:
		v.afterUnlinked = true
		v.broken(KindWithoutHash)
	default:
		v.report.Uncovered++
	}
}

func (v *Verifier) fragment() {
	v.report.FragmentCount++
	if len(v.report.Fragments) < maxFragments {
		v.report.Fragments = append(v.report.Fragments, v.place)
	}
}

func (v *Verifier) broken(kind Kind) {
	v.report.Breaks++
	if v.report.FirstBreak == nil {
		v.report.FirstBreak = &Break{v.place, kind}
	}
}

func (v *Verifier) entry(line []byte, end link) {
	at, isTimed := timeOf(line)
	problem := v.follow(end)
	if !end.matches {
		problem = KindChanged
	} else if !isTimed {
		problem = KindNoEntry
	}
	if key := v.options.PublicKey; key != nil && problem == "" {
		switch {
		case end.signature == nil:
			problem = KindUnsigned
		case !end.isSignedBy(key):
			problem = KindForged
		default:
			v.report.Signed++
		}
	}
	if problem != "" {
		v.broken(problem)
	}
	if v.report.Entries == 0 {
		v.report.From = at
	}
	if v.isTop {
		v.begun[end.hash] = true
	}
	v.report.Entries++
	v.report.To, v.report.Last = at, end.hash
	v.isTop, v.afterUnlinked = false, false
	if end.matches {
		v.compareWithKept(end.hash)
	}
}

func (v *Verifier) compareWithKept(hash string) {
	for i := range v.report.Kept {
		if kept := &v.report.Kept[i]; kept.Hash == hash {
			at := v.place
			kept.At, kept.ordinal = &at, v.report.Entries
		}
	}
}

// follow adds the entry to a chain or begins one, and returns what is wrong with that, if
// anything.
func (v *Verifier) follow(end link) Kind {
	isFirst := v.report.Entries == 0
	goesOn := v.current
	if v.options.Stream {
		goesOn = v.open[end.previous]
		delete(v.open, end.previous)
	}
	switch {
	case end.previous == "":
		isRepeated := v.begun[end.hash]
		v.begin(end)
		switch {
		case isRepeated:
			return KindRepeated
		case isFirst, v.options.Stream, v.isTop, v.afterUnlinked:
			return ""
		}
		return KindNewChain
	case goesOn != nil && goesOn.Last == end.previous:
		v.goOn(goesOn, end)
		return ""
	case slices.Contains(v.options.After, end.previous) && (isFirst || v.options.Stream) && !v.begun[end.hash]:
		v.begin(end)
		return ""
	case isFirst:
		v.begin(end)
		return KindBeginning
	case v.options.Stream:
		v.begin(end)
		return KindMissing
	case v.isTop && v.open[end.previous] != nil:
		// The process that began this file had not seen the one before it, and names the end
		// of an older one.
		isRepeated := v.begun[end.hash]
		v.begin(end)
		if isRepeated {
			return KindRepeated
		}
		return ""
	default:
		v.goOn(goesOn, end)
		return KindMissing
	}
}

func (v *Verifier) begin(end link) {
	v.begun[end.hash] = true
	chain := &Chain{Begins: v.place, Previous: end.previous}
	v.report.Chains = append(v.report.Chains, chain)
	v.goOn(chain, end)
}

func (v *Verifier) goOn(chain *Chain, end link) {
	chain.Entries++
	chain.Ends, chain.Last = v.place, end.hash
	v.current = chain
	if v.options.Stream {
		v.open[end.hash] = chain
	}
}

// timeOf reads the time by which an entry begins.
func timeOf(line []byte) (time.Time, bool) {
	rest, found := bytes.CutPrefix(line, []byte(entryStart))
	text, _, closed := bytes.Cut(rest, []byte(fieldEnd))
	at, err := time.Parse(time.RFC3339, string(text))
	return at, found && closed && err == nil
}

// Limits of what a [Report] holds.
const (
	maxChains    = 10000
	maxFragments = 100
)

// Place is a line of a file; lines are counted from 1.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// String is how compilers and editors name a place.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Kind is what is wrong where a chain is broken.
type Kind string

// The kinds.
const (
	// KindChanged: the entry is not the one that was hashed.
	KindChanged Kind = "changed"
	// KindMissing: the entry does not name the one before it. An entry was removed, moved,
	// inserted, or changed together with its hash.
	KindMissing Kind = "missing"
	// KindBeginning: the first entry names one before it that [Options.After] does not list.
	KindBeginning Kind = "beginning"
	// KindNewChain: a chain begins in the middle of a file.
	KindNewChain Kind = "new_chain"
	// KindRepeated: a chain begins with an entry with which one, or a file, has begun.
	KindRepeated Kind = "repeated"
	// KindWithoutHash: an entry has no hash, after some that have one.
	KindWithoutHash Kind = "without_hash"
	// KindUnsigned: an entry has no signature, although a key was given.
	KindUnsigned Kind = "unsigned"
	// KindForged: the signature is not one by the key that was given.
	KindForged Kind = "forged"
	// KindNoEntry: the line is neither an entry nor the beginning of one.
	KindNoEntry Kind = "no_entry"
)

// Break is where a chain is broken.
type Break struct {
	Place
	Kind Kind `json:"kind"`
}

// Chain is a row of entries each of which names the one before it.
type Chain struct {
	Begins Place `json:"begins"`
	Ends   Place `json:"ends"`
	// Entries is how many there are.
	Entries int `json:"entries"`
	// Previous is the hash that the first one names; empty where it begins a chain.
	Previous string `json:"previous,omitempty"`
	// Last is the hash of the last one.
	Last string `json:"last"`
}

// Kept says where the entry is whose hash was kept elsewhere.
type Kept struct {
	Hash string `json:"hash"`
	// At is nil if there is no such entry.
	At *Place `json:"at"`
	// Following is how many entries stand behind it.
	Following int `json:"following"`

	ordinal int
}

// Report is what a [Verifier] found.
type Report struct {
	// Entries is how many have a hash.
	Entries int `json:"entries"`
	// Signed is how many of them have a signature by the key in [Options.PublicKey].
	Signed int `json:"signed,omitempty"`
	// From and To are the times of the first and the last of them; zero if there is none.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Chains are in the order in which they begin.
	Chains []*Chain `json:"chains"`
	// Last is the hash of the last entry; empty if there is none.
	Last string `json:"last"`
	// Kept are the hashes of [Options.Last].
	Kept []Kept `json:"kept,omitempty"`
	// Breaks is how many places are wrong, and FirstBreak the first of them.
	Breaks     int    `json:"breaks"`
	FirstBreak *Break `json:"first_break,omitempty"`
	// Uncovered is how many entries stand before the first one that has a hash.
	Uncovered int `json:"uncovered"`
	// Fragments are the first hundred incomplete lines, left by killed processes.
	Fragments     []Place `json:"fragments,omitempty"`
	FragmentCount int     `json:"fragment_count"`
	// Other is how many lines of a stream were passed over.
	Other int `json:"other"`
}

// Lost are the hashes of [Options.Last] that no entry has.
func (r *Report) Lost() []string {
	var lost []string
	for _, kept := range r.Kept {
		if kept.At == nil {
			lost = append(lost, kept.Hash)
		}
	}
	return lost
}
