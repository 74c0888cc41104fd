// Package journal remembers new tokens until their user holds them, so that the
// next start revokes what a crash left behind.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// maxFile is from which size on a file of the journal gets no new
// entries, in bytes.
const maxFile = 1 << 20

// Config is what a [Journal] is made from.
type Config struct {
	// Dir is the journal's folder, which several processes may share. It is made
	// when it is first needed.
	Dir string
	// API names the API whose tokens are noted: its address, or what stands for
	// it where the address changes.
	API string
	// OneUser tells that all callers are the same user, so that what was left
	// behind of one token's is dealt with by the next. Otherwise an entry belongs
	// to the token that its caller came with.
	OneUser bool
}

// Journal implements tokens.Journal with one file for each process, which holds
// a lock on it as long as it lives: a file without a lock was left behind. No
// file holds a token's value or anything derived from one but hashes under a
// key.
type Journal struct {
	config Config
	// turn holds one value while nobody of this process works off what was left
	// behind.
	turn chan struct{}

	mu      sync.Mutex
	current *journalFile
}

// New returns a journal. It does no I/O.
func New(config Config) (*Journal, error) {
	if config.Dir == "" || config.API == "" {
		return nil, errors.New("a journal needs a folder and the name of an API")
	}
	j := &Journal{config: config, turn: make(chan struct{}, 1)}
	j.turn <- struct{}{}
	return j, nil
}

// journalFile is the file of this process, under the mutex of its Journal.
type journalFile struct {
	name string
	file *os.File
	size int64
	last int // the number of the last entry
	open int // how many entries are not done
}

// Begin implements tokens.Journal.
func (j *Journal) Begin(ctx context.Context, caller tools.Caller, intent tokens.Intent) (tokens.JournalEntry, error) {
	folder, err := openFolder(j.config.Dir)
	if err != nil {
		return nil, err
	}
	entry, err := j.begin(ctx, folder, caller, intent)
	return entry, folder.CloseAfter(err)
}

func (j *Journal) begin(ctx context.Context, folder *journalFolder, caller tools.Caller, intent tokens.Intent) (tokens.JournalEntry, error) {
	name, err := j.callerName(ctx, folder, caller)
	if err != nil {
		return nil, err
	}
	signer, err := newJournalSigner(caller)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current == nil || j.current.size > maxFile {
		// A file that is full stays open, and with it its lock, until its
		// entries are done.
		if j.current, err = newFile(folder); err != nil {
			return nil, err
		}
	}
	file := j.current
	file.last++
	entry := &journalEntry{journal: j, file: file, number: file.last, signer: signer}
	record := journalRecord{
		Entry: entry.number, Event: eventBegin, API: j.config.API, Caller: name,
		Name: strings.ToValidUTF8(intent.Name, "\uFFFD"), ExpiresAt: utc(intent.ExpiresAt), At: intent.BeganAt.UTC().Round(0),
	}
	record.MAC = signer.mac(file.name, "", &record)
	entry.begin = record.MAC
	if err := file.append(record); err != nil {
		return nil, journalError("written to", err)
	}
	file.open++
	return entry, nil
}

func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	in := at.UTC()
	return &in
}

// callerName stands for a caller's token in the files.
func (j *Journal) callerName(ctx context.Context, folder *journalFolder, caller tools.Caller) (string, error) {
	if caller.API == nil {
		return "", errors.New("the journal cannot tell this caller from others")
	}
	key, err := folder.key(ctx)
	if err != nil {
		return "", err
	}
	return caller.API.Fingerprint(key), nil
}

// newFile makes a file and takes its lock. Somebody who cleans up may be
// faster than the lock; then it is another file.
func newFile(folder *journalFolder) (*journalFile, error) {
	for range 10 {
		name := rand.Text() + suffix
		file, err := folder.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, journalError("written to", err)
		}
		err = file.Chmod(0o600) // the umask may have taken this away from the owner
		if err == nil {
			err = privatefile.TryLock(file)
		}
		if err == nil {
			err = folder.Sync()
		}
		if err == nil && folder.isNamed(file, name) {
			return &journalFile{name: name, file: file}, nil
		}
		if closeErr := file.Close(); err == nil || errors.Is(err, privatefile.ErrLocked) {
			err = closeErr
		}
		if err != nil {
			return nil, journalError("written to", err)
		}
	}
	return nil, errors.New("the journal's folder is cleaned up by another program again and again: find out which, and end it")
}

// append writes one line and sees that it is on the disk. On an error the file
// is as it was.
func (f *journalFile) append(record journalRecord) error {
	line, err := json.Marshal(record)
	if err != nil {
		return err
	}
	n, err := f.file.WriteAt(append(line, '\n'), f.size)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return errors.Join(err, f.file.Truncate(f.size))
	}
	f.size += int64(n)
	return nil
}

// journalEntry is one token on its way.
type journalEntry struct {
	journal *Journal
	file    *journalFile
	number  int
	signer  journalSigner
	// begin is the MAC of the entry's Begin line.
	begin string
	done  bool
}

// Made implements tokens.JournalEntry.
func (e *journalEntry) Made(id string) error {
	return e.note(journalRecord{Entry: e.number, Event: eventMade, IDs: []string{id}, At: time.Now().UTC()})
}

// MayHaveMade implements tokens.JournalEntry.
func (e *journalEntry) MayHaveMade(ids []string) error {
	return e.note(journalRecord{Entry: e.number, Event: eventMaybe, IDs: ids, At: time.Now().UTC()})
}

func (e *journalEntry) note(record journalRecord) error {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	record.MAC = e.signer.mac(e.file.name, e.begin, &record)
	if err := e.file.append(record); err != nil {
		return journalError("written to", err)
	}
	return nil
}

// Done implements tokens.JournalEntry. The last entry of a file to be done leaves
// it empty, for which no room on the disk is needed.
func (e *journalEntry) Done() error {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	if e.done {
		return nil
	}
	e.done = true
	e.file.open--
	var err error
	switch {
	case e.file.open > 0:
		err = e.file.append(journalRecord{Entry: e.number, Event: eventDone, At: time.Now().UTC()})
	case e.file != e.journal.current:
		err = e.journal.retire(e.file)
	default:
		err = errors.Join(e.file.file.Truncate(0), e.file.file.Sync())
		e.file.size = 0
	}
	if err != nil {
		return journalError("written to", err)
	}
	return nil
}

// retire removes a file of which every entry is done.
func (j *Journal) retire(file *journalFile) error {
	err := errors.Join(file.file.Truncate(0), file.file.Close())
	folder, openErr := openFolder(j.config.Dir)
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	if removeErr := folder.Remove(file.name); !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return folder.CloseAfter(err)
}

// Close removes the file of this process. While there are entries that are not
// done it stays, and with it what is left for the next process; the last of them
// to be done removes it.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	file := j.current
	j.current = nil
	if file == nil || file.open > 0 {
		return nil
	}
	if err := j.retire(file); err != nil {
		return journalError("closed", err)
	}
	return nil
}

func journalError(done string, err error) error { return folderOptions.Explain(done, err) }
