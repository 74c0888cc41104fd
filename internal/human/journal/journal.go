// Package journal records new tokens until their users have them, so that the next start
// revokes what a crash left behind.
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

// maxFile is the size from which a file gets no new entries, in bytes.
const maxFile = 1 << 20

// Config configures a [Journal].
type Config struct {
	// Dir is the journal's folder, made when needed. Processes may share it.
	Dir string
	// API names the API of the tokens: its address, or another stable name.
	API string
	// OneUser means that all callers are the same user, so that any of them can recover
	// what was left behind. Otherwise an entry belongs to the token of its caller.
	OneUser bool
}

// Journal implements tokens.Journal with one file for each process, which keeps it locked: a
// file without a lock was left behind. Files hold no token values, but keyed hashes of them.
type Journal struct {
	config Config
	// turn holds one value while no recovery runs in this process.
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

// journalFile is the file of this process, guarded by its Journal.
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
		// A full file stays open and locked until its entries are done.
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

// callerName returns the fingerprint of a caller's token.
func (j *Journal) callerName(ctx context.Context, folder *journalFolder, caller tools.Caller) (string, error) {
	if caller.API == nil {
		return "", errors.New("the journal cannot identify this caller")
	}
	key, err := folder.key(ctx)
	if err != nil {
		return "", err
	}
	return caller.API.Fingerprint(key), nil
}

// newFile makes a file and locks it. If a recovery removes it first, it makes another.
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

// append writes one line and syncs it. On an error the file is as before.
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

// Done implements tokens.JournalEntry. The last entry truncates the file, which works on a
// full disk.
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

// retire removes a file without open entries.
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

// Close removes the file of this process, unless entries are open. Then the last of them to be
// done removes it, or the next process recovers them.
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
