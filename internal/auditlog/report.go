package auditlog

import (
	"fmt"
	"time"
)

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
	// KindMissing: the entry does not name the one before it. One is missing or was
	// moved, or this one was, or one was put in or changed together with its hash.
	KindMissing Kind = "missing"
	// KindBeginning: the first entry names one before it, which nobody said was
	// left out.
	KindBeginning Kind = "beginning"
	// KindNewChain: a chain begins in the middle of a file.
	KindNewChain Kind = "new_chain"
	// KindRepeated: a chain begins with an entry with which one, or a file, has
	// begun.
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
	// From and To are the times of the first and the last of them; zero if there is
	// none.
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
	// Fragments are the first hundred lines with a part of an entry, which a
	// process left that was ended while it wrote.
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
