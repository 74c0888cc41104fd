package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

const (
	// createdWithin is how far from the beginning of an entry its token was
	// created at most: a create takes no longer, and clocks differ.
	createdWithin = 2 * time.Minute
	// revokedWithin is how long after its beginning an entry is acted on. A copy
	// of a file as it was on the way cannot be told from the file itself; after
	// this time it is only reported.
	revokedWithin = 7 * 24 * time.Hour
	// maxRead bounds what is read of one file, in bytes.
	maxRead = 16 * maxFile
)

// Recover implements tokens.Journal.
func (j *Journal) Recover(ctx context.Context, caller tools.Caller) (_ []tokens.Recovered, err error) {
	if _, err := os.Lstat(j.config.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	folder, err := openFolder(j.config.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = folder.CloseAfter(err) }()
	names, err := j.others(folder)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	select {
	case <-j.turn:
		defer func() { j.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another call that works on what was left behind: %w", ctx.Err())
	}
	release, err := folder.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := release(); err == nil && closeErr != nil {
			err = journalError("unlocked", closeErr)
		}
	}()
	callerName, err := j.callerName(ctx, folder, caller)
	if err != nil {
		return nil, err
	}
	signer, err := newJournalSigner(caller)
	if err != nil {
		return nil, err
	}
	r := &recoveryRun{ctx: ctx, caller: caller, name: callerName, signer: signer, mine: func(begin journalRecord) bool {
		return begin.API == j.config.API && (j.config.OneUser || begin.Caller == callerName)
	}}
	for _, name := range names {
		err = errors.Join(err, r.workOff(folder, name))
	}
	return r.found, err
}

// others returns the names of the files that are not this process's, in a fixed
// order.
func (j *Journal) others(folder *journalFolder) ([]string, error) {
	own := ""
	j.mu.Lock()
	if j.current != nil {
		own = j.current.name
	}
	j.mu.Unlock()
	entries, err := fs.ReadDir(folder.FS(), ".")
	if err != nil {
		return nil, journalError("read", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() && strings.HasSuffix(entry.Name(), suffix) && entry.Name() != own {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// recoveryRun is one caller's look at what was left behind.
type recoveryRun struct {
	ctx    context.Context
	caller tools.Caller
	// name stands for the caller's token in the files.
	name string
	// signer verifies the lines that were written with the caller's token.
	signer journalSigner
	// mine reports whether an entry may be the caller's.
	mine  func(begin journalRecord) bool
	found []tokens.Recovered

	listed  bool
	tokens  []client.Token
	listErr error
}

// leftBehind is an entry that was not done.
type leftBehind struct {
	begin journalRecord
	made  string
	maybe []string
	// authentic tells that every line was written with the caller's token, for
	// this entry of this file.
	authentic bool
}

// workOff deals with one file, unless its process lives. A file that holds
// nothing any more is removed.
func (r *recoveryRun) workOff(folder *journalFolder, name string) (err error) {
	file, err := folder.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process was faster
	}
	if err != nil {
		return journalError("read", err)
	}
	empty := false
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = journalError("closed", closeErr)
		}
		if err == nil && empty {
			if removeErr := folder.Remove(name); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
				err = journalError("cleaned up", removeErr)
			}
		}
	}()
	if err := privatefile.TryLock(file); errors.Is(err, privatefile.ErrLocked) {
		return nil
	} else if err != nil {
		return journalError("locked", err)
	}
	if !folder.isNamed(file, name) {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(file, maxRead))
	if err != nil {
		return journalError("read", err)
	}
	entries := parseJournal(content, name, r.signer)
	var dealt []int
	var errs []error
	for _, entry := range entries {
		if !r.mine(entry.begin) {
			continue
		}
		keep, err := r.deal(entry)
		if err != nil {
			errs = append(errs, err)
		}
		if !keep {
			dealt = append(dealt, entry.begin.Entry)
		}
	}
	if len(dealt) == len(entries) {
		empty = true
	} else if len(dealt) > 0 {
		if err := appendDone(file, content, dealt); err != nil {
			errs = append(errs, journalError("written to", err))
		}
	}
	return errors.Join(errs...)
}

// parseJournal returns the entries of a file that were not done, in their order.
// A line that cannot be read is one that a crash cut short: it was not on the
// disk when the next step was taken.
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
	entries := make([]*leftBehind, 0, len(open))
	for _, entry := range open {
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b *leftBehind) int { return cmp.Compare(a.begin.Entry, b.begin.Entry) })
	return entries
}

// appendDone notes which entries were dealt with.
func appendDone(file *os.File, content []byte, entries []int) error {
	lines, err := doneLines(content, entries)
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err := file.Write(lines); err != nil {
		return err
	}
	return file.Sync()
}

// doneLines returns what to append to content so that entries count as done. A
// last line that was cut short is closed first.
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

// deal finds out what became of a token and revokes it if nobody holds it. It
// reports whether the entry has to be kept.
func (r *recoveryRun) deal(entry *leftBehind) (keep bool, err error) {
	if !r.listed {
		r.tokens, r.listErr = r.caller.API.ListTokens(r.ctx)
		r.listed = true
	}
	if r.listErr != nil && !errors.Is(r.listErr, client.ErrForbidden) {
		return true, fmt.Errorf("list the tokens: %w", r.listErr)
	}
	if ends := entry.begin.ExpiresAt; ends != nil && time.Now().After(ends.Add(createdWithin)) {
		if r.listErr != nil {
			r.tell(entry, entry.made, tokens.RecoveredUnclear)
			return false, nil //nolint:nilerr // as below; looking again would tell no more
		}
		// The API may have given the token a later end.
		if !slices.ContainsFunc(r.tokens, func(t client.Token) bool { return mayBeLeft(&t, entry) }) {
			r.tell(entry, entry.made, tokens.RecoveredGone)
			return false, nil
		}
	}
	if entry.made != "" {
		return r.dealWithID(entry, entry.made)
	}
	if r.listErr != nil {
		r.tell(entry, "", tokens.RecoveredUnclear)
		return true, nil //nolint:nilerr // the token may not list; what that means was just told
	}
	return r.dealByName(entry)
}

func (r *recoveryRun) dealWithID(entry *leftBehind, id string) (keep bool, err error) {
	if r.listErr != nil {
		// Whether somebody holds it cannot be seen.
		r.tell(entry, id, tokens.RecoveredUnclear)
		return true, nil //nolint:nilerr // as in deal
	}
	i := slices.IndexFunc(r.tokens, func(t client.Token) bool { return t.ID == id })
	switch {
	case i < 0 && !r.sameToken(entry):
		return true, nil // perhaps it is another account's, who will come for it
	case i < 0, r.tokens[i].Status(time.Now()) == client.StatusRevoked, r.tokens[i].Status(time.Now()) == client.StatusExpired:
		r.tell(entry, id, tokens.RecoveredGone)
		return false, nil
	case r.isHeld(&r.tokens[i]):
		r.tell(entry, id, tokens.RecoveredInUse)
		return false, nil
	case !plaintext.SameName(r.tokens[i].Name, entry.begin.Name), !createdFor(&r.tokens[i], entry):
		r.tell(entry, id, tokens.RecoveredUnclear)
		return true, nil
	}
	return r.revoke(entry, id)
}

// mayBeLeft reports whether a token is alive that may be the entry's.
func mayBeLeft(token *client.Token, entry *leftBehind) bool {
	if status := token.Status(time.Now()); status == client.StatusRevoked || status == client.StatusExpired {
		return false
	}
	if entry.made != "" {
		return token.ID == entry.made
	}
	return slices.Contains(entry.maybe, token.ID) || plaintext.SameName(token.Name, entry.begin.Name) && createdFor(token, entry)
}

// createdFor reports whether the API created a token when the entry began.
func createdFor(token *client.Token, entry *leftBehind) bool {
	return token.CreatedAt.Sub(entry.begin.At).Abs() <= createdWithin
}

// sameToken reports whether the entry was made with the token that the caller
// uses now. One made with another may be of another account of the same person:
// such an entry is dealt with only where the API shows that it is not.
func (r *recoveryRun) sameToken(entry *leftBehind) bool { return entry.begin.Caller == r.name }

// isHeld reports whether somebody uses the token: the caller, or whoever used it
// at any time.
func (r *recoveryRun) isHeld(token *client.Token) bool {
	if p := r.caller.TokenPrefix; p != "" && strings.HasPrefix(token.Prefix, p) {
		return true
	}
	return token.LastUsedAt != nil || token.UsageUnknown
}

// dealByName finds the token of an entry without an id. Only one that can be no
// other is revoked. One of the same name and time that ends otherwise is left to a
// person: the API may have changed its end.
func (r *recoveryRun) dealByName(entry *leftBehind) (keep bool, err error) {
	// exact have the name, time and end of the entry's token, rounded an end that the
	// API may have made of it, and like and otherEnd may be it where no other is.
	var exact, rounded, like, otherEnd []string
	for i := range r.tokens {
		token := &r.tokens[i]
		if token.Status(time.Now()) != client.StatusActive || r.isHeld(token) {
			continue
		}
		named := plaintext.SameName(token.Name, entry.begin.Name)
		switch {
		case named && createdFor(token, entry) && sameEnd(token.ExpiresAt, entry.begin.ExpiresAt):
			exact = append(exact, token.ID)
		case named && createdFor(token, entry) && roundedEnd(token.ExpiresAt, entry.begin.ExpiresAt):
			rounded = append(rounded, token.ID)
		case named && createdFor(token, entry):
			otherEnd = append(otherEnd, token.ID)
		case named && sameEnd(token.ExpiresAt, entry.begin.ExpiresAt) && token.CreatedAt.After(entry.begin.At),
			slices.Contains(entry.maybe, token.ID):
			like = append(like, token.ID)
		}
	}
	all := slices.Concat(exact, rounded, like, otherEnd)
	switch {
	case len(exact) == 1 && len(like) == 0:
		return r.revoke(entry, exact[0])
	case len(rounded) == 1 && len(all) == 1:
		return r.revoke(entry, rounded[0])
	case len(all) == 0 && !r.sameToken(entry):
		return true, nil // as in dealWithID
	case len(all) == 0:
		r.tell(entry, "", tokens.RecoveredNotMade)
		return false, nil
	}
	for _, id := range all {
		r.tell(entry, id, tokens.RecoveredUnclear)
	}
	return true, nil
}

// sameEnd compares to the second, as the API may keep no more.
func sameEnd(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Truncate(time.Second).Equal(b.Truncate(time.Second))
}

// roundedWithin is how much nearer the API may put an expiry that it rounds.
const roundedWithin = 24 * time.Hour

// roundedEnd reports whether a token that was to end at wanted ends then, or earlier
// by what an API rounds. A later or a far nearer end may be that of another token.
func roundedEnd(got, wanted *time.Time) bool {
	if sameEnd(got, wanted) {
		return true
	}
	return got != nil && wanted != nil && got.Before(*wanted) && wanted.Sub(*got) < roundedWithin
}

// revoke revokes a token of which the API shows that it is the entry's. The
// entry itself must be shown to be this program's: nobody decides this
// revocation, and anything could have been written to the file.
func (r *recoveryRun) revoke(entry *leftBehind, id string) (keep bool, err error) {
	if age := time.Since(entry.begin.At); !entry.authentic || age > revokedWithin || age < -createdWithin {
		r.tell(entry, id, tokens.RecoveredUnverified)
		return true, nil
	}
	switch err := r.caller.API.RevokeToken(r.ctx, id); {
	case err == nil:
		r.tell(entry, id, tokens.RecoveredRevoked)
		return false, nil
	case errors.Is(err, client.ErrNotFound):
		r.tell(entry, id, tokens.RecoveredGone)
		return false, nil
	case errors.Is(err, client.ErrForbidden), errors.Is(err, client.ErrInvalid):
		r.tell(entry, id, tokens.RecoveredUnclear)
		return true, nil
	default:
		return true, fmt.Errorf("revoke the token %s: %w", id, err)
	}
}

func (r *recoveryRun) tell(entry *leftBehind, id string, outcome tokens.RecoveryOutcome) {
	r.found = append(r.found, tokens.Recovered{TokenID: id, Name: entry.begin.Name, Outcome: outcome})
}
