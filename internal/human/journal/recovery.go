package journal

import (
	"context"
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
	// createdWithin bounds the time between an entry and its token's creation, for slow
	// calls and clock skew.
	createdWithin = 2 * time.Minute
	// revokedWithin is how long an entry is acted on. Later it is only reported, since it
	// may be an old copy.
	revokedWithin = 7 * 24 * time.Hour
	// maxRead bounds what is read of a file, in bytes.
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

// others returns the names of other processes' files, in a fixed order.
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

// recoveryRun is the recovery for one caller.
type recoveryRun struct {
	ctx    context.Context
	caller tools.Caller
	// name is the fingerprint of the caller's token.
	name string
	// signer verifies lines written with the caller's token.
	signer journalSigner
	// mine reports whether an entry may be the caller's.
	mine  func(begin journalRecord) bool
	found []tokens.Recovered

	listed  bool
	tokens  []client.Token
	listErr error
}

// workOff handles one file, unless its process runs. It removes a file without open entries.
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
	switch err := privatefile.TryLock(file); {
	case errors.Is(err, privatefile.ErrLocked), err == nil && !folder.isNamed(file, name):
		return nil
	case err != nil:
		return journalError("locked", err)
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
		errs = append(errs, err)
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

// appendDone marks entries as done.
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

// deal finds out what became of a token and revokes it if nobody has it. It reports whether to
// keep the entry.
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
			r.report(entry, entry.made, tokens.RecoveredUnclear)
			return false, nil //nolint:nilerr // as below; looking again would show no more
		}
		// The API may have given the token a later expiry.
		if !slices.ContainsFunc(r.tokens, func(t client.Token) bool { return mayBeLeft(&t, entry) }) {
			r.report(entry, entry.made, tokens.RecoveredGone)
			return false, nil
		}
	}
	if entry.made != "" {
		return r.dealWithID(entry, entry.made)
	}
	if r.listErr != nil {
		r.report(entry, "", tokens.RecoveredUnclear)
		return true, nil //nolint:nilerr // the token may not list; what that means was just reported
	}
	return r.dealByName(entry)
}

func (r *recoveryRun) dealWithID(entry *leftBehind, id string) (keep bool, err error) {
	if r.listErr != nil {
		// It cannot be seen whether somebody has it.
		r.report(entry, id, tokens.RecoveredUnclear)
		return true, nil //nolint:nilerr // as in deal
	}
	i := slices.IndexFunc(r.tokens, func(t client.Token) bool { return t.ID == id })
	switch {
	case i < 0 && !r.sameToken(entry):
		return true, nil // perhaps it is another account's, who will come for it
	case i < 0, r.tokens[i].Status(time.Now()) == client.StatusRevoked, r.tokens[i].Status(time.Now()) == client.StatusExpired:
		r.report(entry, id, tokens.RecoveredGone)
		return false, nil
	case r.isHeld(&r.tokens[i]):
		r.report(entry, id, tokens.RecoveredInUse)
		return false, nil
	case !plaintext.SameName(r.tokens[i].Name, entry.begin.Name), !createdFor(&r.tokens[i], entry):
		r.report(entry, id, tokens.RecoveredUnclear)
		return true, nil
	}
	return r.revoke(entry, id)
}

// mayBeLeft reports whether a live token may be the entry's.
func mayBeLeft(token *client.Token, entry *leftBehind) bool {
	if status := token.Status(time.Now()); status == client.StatusRevoked || status == client.StatusExpired {
		return false
	}
	if entry.made != "" {
		return token.ID == entry.made
	}
	return slices.Contains(entry.maybe, token.ID) || plaintext.SameName(token.Name, entry.begin.Name) && createdFor(token, entry)
}

// createdFor reports whether a token was created when the entry began.
func createdFor(token *client.Token, entry *leftBehind) bool {
	return token.CreatedAt.Sub(entry.begin.At).Abs() <= createdWithin
}

// sameToken reports whether the entry was made with the caller's current token. Entries of
// other tokens may belong to another account, and are handled only if the API shows otherwise.
func (r *recoveryRun) sameToken(entry *leftBehind) bool { return entry.begin.Caller == r.name }

// isHeld reports whether the token was ever used, or is the caller's.
func (r *recoveryRun) isHeld(token *client.Token) bool {
	if p := r.caller.TokenPrefix; p != "" && strings.HasPrefix(token.Prefix, p) {
		return true
	}
	return token.LastUsedAt != nil || token.UsageUnknown
}

// dealByName finds the token of an entry without an id, and revokes it only if it is
// unambiguous. One with another expiry is left to the user, since the API may have changed it.
func (r *recoveryRun) dealByName(entry *leftBehind) (keep bool, err error) {
	// exact tokens match in name, time and expiry, rounded ones have an expiry that the API
	// may have rounded, and like and otherEnd tokens are possible ones.
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
		r.report(entry, "", tokens.RecoveredNotMade)
		return false, nil
	}
	for _, id := range all {
		r.report(entry, id, tokens.RecoveredUnclear)
	}
	return true, nil
}

// sameEnd compares seconds, the least precision of an API.
func sameEnd(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Truncate(time.Second).Equal(b.Truncate(time.Second))
}

// roundedWithin bounds how much earlier a rounded expiry may be.
const roundedWithin = 24 * time.Hour

// roundedEnd reports whether got is wanted, or earlier by what an API rounds.
func roundedEnd(got, wanted *time.Time) bool {
	if sameEnd(got, wanted) {
		return true
	}
	return got != nil && wanted != nil && got.Before(*wanted) && wanted.Sub(*got) < roundedWithin
}

// revoke revokes the entry's token. The entry must be authentic, since no user confirms the
// revocation and anybody could have written the file.
func (r *recoveryRun) revoke(entry *leftBehind, id string) (keep bool, err error) {
	if age := time.Since(entry.begin.At); !entry.authentic || age > revokedWithin || age < -createdWithin {
		r.report(entry, id, tokens.RecoveredUnverified)
		return true, nil
	}
	switch err := r.caller.API.RevokeToken(r.ctx, id); {
	case err == nil:
		r.report(entry, id, tokens.RecoveredRevoked)
		return false, nil
	case errors.Is(err, client.ErrNotFound):
		r.report(entry, id, tokens.RecoveredGone)
		return false, nil
	case errors.Is(err, client.ErrForbidden), errors.Is(err, client.ErrInvalid):
		r.report(entry, id, tokens.RecoveredUnclear)
		return true, nil
	default:
		return true, fmt.Errorf("revoke the token %s: %w", id, err)
	}
}

func (r *recoveryRun) report(entry *leftBehind, id string, outcome tokens.RecoveryOutcome) {
	r.found = append(r.found, tokens.Recovered{TokenID: id, Name: entry.begin.Name, Outcome: outcome})
}
