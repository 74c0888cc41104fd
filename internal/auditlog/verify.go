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
	// Stream is for what processes wrote to their streams: each begins a chain,
	// the lines of several may be mixed, and other lines may stand between them.
	// Otherwise a chain begins at the top of a file, or after entries from before
	// there were hashes, and goes on in the next file.
	Stream bool
	// After are the hashes of entries before the first ones that are read.
	After []string
	// PublicKey is the key by which every entry with a hash has to be signed. Nil:
	// signatures are not looked at, and the hashes are no more than checksums.
	PublicKey ed25519.PublicKey
	// Last are hashes that were the last ones when they were kept elsewhere.
	Last []string
}

// Verifier reads an audit log, one file after the other, and keeps of it only
// where chains begin and end. It finds each entry that was changed, moved or taken
// out, but for the last ones: that they are missing only [Options.Last] shows. Without
// [Options.PublicKey] it misses changes by somebody who computed all hashes behind
// them anew.
type Verifier struct {
	options Options
	report  Report
	// place is that of the line being read.
	place Place
	// isTop is true up to the first entry with a hash in a file, and
	// afterUnlinked after an entry that has none.
	isTop, afterUnlinked bool
	// open are the chains that can go on, by their last hash. Without
	// Options.Stream only current can, or at the top of a file what stands at the
	// end of another.
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

// Read goes on with a file that comes after those that were read before. It uses
// at most a few hundred bytes for each chain, and 128 KiB. The error is that of
// in, or that there are more than 10000 chains; what is wrong with the log is in
// the report.
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

// Report tells what was found so far.
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

// follow has the entry go on with a chain or begin one, and tells what is wrong
// with that, if anything is.
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
		// The process that began this file had not seen the one before it, and
		// names the end of an older one.
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
