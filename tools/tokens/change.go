package tokens

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// The fields of a token that can be changed, by the names of the arguments.
const (
	fieldName        = "name"
	fieldValidFrom   = "valid_from"
	fieldExpires     = "expires"
	fieldPermissions = "permissions"
)

// wantedUpdate is what a call wants of a token, whatever the token is now.
type wantedUpdate struct {
	now         time.Time
	name        string
	setsStart   bool
	validFrom   *time.Time
	setsExpiry  bool
	expires     *time.Time
	permissions permissionsWanted
}

// wantedUpdate reads the arguments of a change.
func (c *call) wantedUpdate() (w wantedUpdate, err error) {
	w = wantedUpdate{now: c.Now, name: c.Args.Text(fieldName), setsStart: c.Args.Given(fieldValidFrom), setsExpiry: c.Args.Given(fieldExpires)}
	if c.Args.Given(fieldName) {
		if err := checkName(w.name); err != nil {
			return w, err
		}
	}
	if w.setsStart {
		if w.validFrom, err = ParseValidFrom(c.Args.Text(fieldValidFrom), c.Now); err != nil {
			return w, err
		}
	}
	if w.setsExpiry {
		if w.expires, err = ParseExpires(c.Args.Text(fieldExpires), c.Now); err != nil {
			return w, err
		}
	}
	if w.permissions, err = c.wantedPermissions(); err != nil {
		return w, err
	}
	if w.name == "" && !w.setsStart && !w.setsExpiry && !w.permissions.given {
		return w, tools.InvalidArgument("nothing is to be changed").
			Advise("Give at least one of %q, %q, %q, %q.", fieldName, fieldValidFrom, fieldExpires, fieldPermissions)
	}
	return w, nil
}

// tokenUpdate is what a call makes of one token.
type tokenUpdate struct {
	change      client.TokenChange
	differences []difference
	// validFrom and expires are those of the token after the change.
	validFrom, expires *time.Time
}

// difference is one field that becomes another.
type difference struct {
	field, label string
	// was and becomes are for the user.
	was, becomes string
	// from and to are for the audit log.
	from, to string
	// widens means that the token can do more by it, narrows that it can do less.
	widens, narrows bool
}

// of returns the part of w that differs from token as it is now.
func (w wantedUpdate) of(token *client.Token) tokenUpdate {
	u := tokenUpdate{validFrom: token.ValidFrom, expires: token.ExpiresAt}
	if w.name != "" && !plaintext.SameName(w.name, token.Name) {
		u.change.Name = w.name
		u.differences = append(u.differences, difference{
			field: fieldName, label: "Name change", was: plaintext.Quote(tools.Shown(token.Name, maxNameLength)), becomes: plaintext.Quote(w.name),
			from: token.Name, to: w.name,
		})
	}
	if w.setsStart && tools.Timestamp(w.validFrom) != tools.Timestamp(futureStart(token, w.now)) {
		w.changeStart(&u)
	}
	if w.setsExpiry && tools.Timestamp(w.expires) != tools.Timestamp(token.ExpiresAt) {
		w.changeExpiry(&u)
	}
	if to := w.permissions; to.given && narrowing(to.names) != narrowing(token.Permissions) {
		u.change.Permissions, u.change.AllPermissions = to.names, to.all
		u.differences = append(u.differences, difference{
			field: fieldPermissions, label: "Permission change",
			was: tools.PermissionWords(tools.ShownPermissions(token.Permissions, tools.MaxPermissions)), becomes: tools.PermissionWords(to.names),
			from: narrowing(token.Permissions), to: narrowing(to.names),
			widens: widens(token.Permissions, to.names), narrows: widens(to.names, token.Permissions),
		})
	}
	return u
}

// futureStart returns from when token is valid, nil if it is already.
func futureStart(token *client.Token, now time.Time) *time.Time {
	if token.ValidFrom == nil || !token.ValidFrom.After(now) {
		return nil
	}
	return token.ValidFrom
}

func (w wantedUpdate) changeStart(u *tokenUpdate) {
	was := u.validFrom
	u.validFrom, u.change.ValidFrom, u.change.ValidAtOnce = w.validFrom, w.validFrom, w.validFrom == nil
	earlier := was != nil && was.After(w.now) && (w.validFrom == nil || w.validFrom.Before(*was))
	u.differences = append(u.differences, difference{
		field: fieldValidFrom, label: "Start change", was: timeWords(was, "at once", w.now), becomes: timeWords(w.validFrom, "at once", w.now),
		from: timeOr(was, "at once"), to: timeOr(w.validFrom, "at once"), widens: earlier, narrows: !earlier,
	})
}

func (w wantedUpdate) changeExpiry(u *tokenUpdate) {
	was := u.expires
	u.expires, u.change.ExpiresAt, u.change.NeverExpires = w.expires, w.expires, w.expires == nil
	later := was != nil && (w.expires == nil || w.expires.After(*was))
	u.differences = append(u.differences, difference{
		field: fieldExpires, label: "Expiry change", was: timeWords(was, never, w.now), becomes: timeWords(w.expires, never, w.now),
		from: timeOr(was, never), to: timeOr(w.expires, never), widens: later, narrows: !later,
	})
}

// timeWords says a time twice: as people do, and exactly.
func timeWords(at *time.Time, absent string, now time.Time) string {
	if at == nil {
		return absent
	}
	return humantime.Relative(*at, now) + " (" + tools.Timestamp(at) + ")"
}

func timeOr(at *time.Time, absent string) string {
	if at == nil {
		return absent
	}
	return tools.Timestamp(at)
}

func (u tokenUpdate) widens() bool {
	return slices.ContainsFunc(u.differences, func(d difference) bool { return d.widens })
}

func (u tokenUpdate) narrows() bool {
	return slices.ContainsFunc(u.differences, func(d difference) bool { return d.narrows })
}

func (u tokenUpdate) narrowsIn(field string) bool {
	return slices.ContainsFunc(u.differences, func(d difference) bool { return d.field == field && d.narrows })
}

func (u tokenUpdate) widensIn(field string) bool {
	return slices.ContainsFunc(u.differences, func(d difference) bool { return d.field == field && d.widens })
}

// changed are the fields that become others.
func (u tokenUpdate) changed() []string {
	fields := []string{}
	for _, d := range u.differences {
		fields = append(fields, d.field)
	}
	return fields
}

func (u tokenUpdate) audited() []audit.Change {
	var changes []audit.Change
	for _, d := range u.differences {
		changes = append(changes, audit.Change{What: d.field, From: d.from, To: d.to})
	}
	return changes
}

// updating asks the user about a change of token.
func (c *call) updating(token *client.Token, update tokenUpdate) approval.Decision {
	return approval.Decision{
		Kind:        audit.Token,
		Target:      token.ID,
		Fingerprint: tokenFingerprint(token),
		Question:    c.updateQuestion(token, update),
		Instead:     approval.InTerminal(c.updateCommand(token)),
	}
}

func (c *call) updateQuestion(token *client.Token, update tokenUpdate) approval.Question {
	row := NewRow(token, c.Now, c.Caller.TokenPrefix)
	question := approval.Question{
		Title:     "Change this kenbun token?",
		Facts:     tokenFacts(token, row, c.Now),
		Agree:     "Change " + row.Prefix,
		Unchanged: "the token was not changed",
	}
	for _, d := range update.differences {
		question.Facts = append(question.Facts, approval.Fact{Label: d.label, Value: "was " + d.was + ", becomes " + d.becomes, Outside: true})
	}
	var consequences []string
	if update.widens() {
		question.Title = "Give this kenbun token more than it has?"
		consequences = append(consequences, "Anyone who holds its value can then do more, or for longer.")
	}
	if !update.widens() {
		consequences = append(consequences, "Whatever uses the token, or finds it by its name, may stop working. It can be given back.")
	}
	if (row.InUse || row.MayBeInUse) && update.narrows() {
		consequences = append(consequences, "This is the token that is in use here: you may not be able to give back from here what it loses, and may have to fix it in kenbun or with another token.")
	}
	question.Consequence = strings.Join(consequences, " ")
	return question
}

// updateCommand is how the user makes the change in a terminal.
func (c *call) updateCommand(token *client.Token) string {
	command := "kenbun-mcp tokens update " + token.ID
	for _, field := range []string{fieldName, fieldValidFrom, fieldExpires} {
		if c.Args.Given(field) {
			command += " --" + strings.ReplaceAll(field, "_", "-") + " " + plaintext.ShellWord(c.Args.Text(field))
		}
	}
	if names := c.Args.List(fieldPermissions); names != nil {
		command += " --permissions " + plaintext.ShellWord(strings.Join(names, ","))
	}
	return command + c.TerminalFlags()
}

const (
	// usedLately is how long ago a token was used, or made, that counts as used.
	usedLately = 30 * day
	// stopsSoon is within how long an expiry needs a question.
	stopsSoon = 7 * day
	// earlierExpiryKept is how long a tool can restore an expiry that it shortened.
	earlierExpiryKept = 30 * day
)

// disrupts reports whether update may break what uses token, so that the user decides: it is
// in use, here or elsewhere, would expire soon, or its use is unknown.
func (c *call) disrupts(token *client.Token, update tokenUpdate) bool {
	if c.inUse(token) && (update.narrows() || !isNamedBy(token, c.Caller.TokenPrefix)) {
		return true
	}
	if mayBeUsed(token, c.Now) {
		return true
	}
	// A name that the tool would not take could not be given back.
	if update.change.Name != "" && checkName(token.Name) != nil {
		return true
	}
	if token.Status(c.Now) == client.StatusExpired {
		return false
	}
	startsLater := update.narrowsIn(fieldValidFrom) && token.Status(c.Now) == client.StatusActive
	return startsLater || update.expires != nil && update.expires.Sub(c.Now) <= stopsSoon
}

// mayBeUsed reports whether something may use token. A token without a recorded use counts
// from its creation, as in [Filter]: kenbun does not say how soon a use is recorded.
func mayBeUsed(token *client.Token, now time.Time) bool {
	return token.UsageUnknown || now.Sub(lastSign(token)) < usedLately
}

// lastSign is when token was last used, as far as that is recorded, or made.
func lastSign(token *client.Token) time.Time {
	if token.LastUsedAt != nil {
		return *token.LastUsedAt
	}
	return token.CreatedAt
}

// expiries are the expiry times of a token around a change by a tool. They only let the user
// decide to restore the earlier one, which the operator's limits would otherwise refuse.
type expiries struct {
	// Had is the expiry before, Set the one since. Both are a time, or never.
	Had string `json:"had"`
	Set string `json:"set"`
}

func expiriesKey(token *client.Token) string { return "earlier-end:" + tools.Digest([]byte(token.ID)) }

// expiriesOf returns what is stored for token, and the expiry that a tool can restore: the
// token's own, or a later one that it had. The latter counts only while the expiry is the
// one that the tool set. Otherwise somebody has decided about it since.
func (c *call) expiriesOf(ctx context.Context, token *client.Token) (stored []byte, had string, err error) {
	own := timeOr(token.ExpiresAt, never)
	stored, ok, err := c.earlier.Get(ctx, expiriesKey(token))
	if err != nil || !ok {
		return nil, own, err
	}
	var kept expiries
	if err := json.Unmarshal(stored, &kept); err == nil && kept.Set == own && expiresLater(kept.Had, own) {
		return stored, kept.Had, nil
	}
	return stored, own, nil
}

// expiresLater reports whether end a, a time or never, is later than b.
func expiresLater(a, b string) bool {
	if a == never || b == never {
		return b != never
	}
	at, errA := time.Parse(time.RFC3339, a)
	than, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && at.After(than)
}

// rememberExpiry notes that a tool has changed the end of token to that of updated.
func (c *call) rememberExpiry(ctx context.Context, token, updated *client.Token) {
	set := timeOr(updated.ExpiresAt, never)
	if set == timeOr(token.ExpiresAt, never) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	stored, had, err := c.expiriesOf(ctx, token)
	if err == nil {
		_, err = c.earlier.Swap(ctx, expiriesKey(token), stored, tools.MustMarshal(expiries{Had: had, Set: set}), earlierExpiryKept)
	}
	if err != nil {
		c.Log.Warn("the earlier expiry of a token could not be stored; the operator's limits apply to restoring it", "id", token.ID, "cause", err)
	}
}

// hadExpiry reports whether token expired at expires (nil: never) or later before a tool
// shortened it, and nobody else has changed it since.
func (c *call) hadExpiry(ctx context.Context, token *client.Token, expires *time.Time) bool {
	_, had, err := c.expiriesOf(ctx, token)
	return err == nil && !expiresLater(timeOr(expires, never), had)
}
