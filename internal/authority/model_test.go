package authority

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// model is what an authority should do, written down once more in the simplest
// way: no store, no digests, no HTTP.
type model struct {
	limit int
	users []*modelUser
}

type modelUser struct {
	id        string
	role      Role
	suspended bool
	member    bool
	tokens    []*modelToken // the newest last
}

type modelToken struct {
	owner     *modelUser
	id, value string
	name      string
	begin     *time.Time
	end       *time.Time
	only      []string // nil: not narrowed
	revoked   bool
	parent    *modelToken
	until     *time.Time // the latest end that it can give; nil: any
}

// chainEnd is the latest end that a token gives which is made for as long as end.
func chainEnd(now time.Time, end *time.Time) *time.Time {
	if end == nil {
		return nil
	}
	last := now.Add(10 * end.Sub(now))
	return &last
}

// first is the earlier of two ends of chains.
func first(a, b *time.Time) *time.Time {
	if a == nil || b != nil && later(a, *b) {
		return b
	}
	return a
}

func later(end *time.Time, than time.Time) bool { return end == nil || end.After(than) }

func (t *modelToken) active(now time.Time) bool {
	return !t.revoked && (t.end == nil || now.Before(*t.end))
}

func (t *modelToken) accepted(now time.Time) bool {
	return t.active(now) && (t.begin == nil || !now.Before(*t.begin)) && !t.owner.suspended && t.owner.member
}

// holds is what a token may do now.
func (t *modelToken) holds() []string {
	may := slices.Clone(t.owner.role.Permissions())
	if t.only != nil {
		may = slices.DeleteFunc(may, func(p string) bool { return !slices.Contains(t.only, p) })
	}
	slices.Sort(may)
	return may
}

func subset(part, whole []string) bool {
	return !slices.ContainsFunc(part, func(p string) bool { return !slices.Contains(whole, p) })
}

func (m *model) full(u *modelUser, now time.Time) bool {
	active := 0
	for _, t := range u.tokens {
		if t.active(now) {
			active++
		}
	}
	return active >= m.limit
}

// may is the status with which a request by t is refused before anything is
// looked at, or 0.
func (t *modelToken) may(permission string, now time.Time) int {
	switch {
	case !t.accepted(now):
		return http.StatusUnauthorized
	case permission != "" && !slices.Contains(t.holds(), permission):
		return http.StatusForbidden
	}
	return 0
}

// create returns the status of a request for a token, and what the token would
// be narrowed to.
func (m *model) create(by *modelToken, asked []string, end *time.Time, now time.Time) (status int, only []string) {
	if refused := by.may("write:tokens", now); refused != 0 {
		return refused, nil
	}
	only = by.only
	if asked != nil {
		if !subset(asked, by.holds()) {
			return http.StatusForbidden, nil
		}
		only = asked
	}
	if by.until != nil && later(end, *by.until) {
		return http.StatusBadRequest, nil
	}
	if m.full(by.owner, now) {
		return http.StatusConflict, nil
	}
	return http.StatusCreated, only
}

func (m *model) revoke(by, target *modelToken, now time.Time) (status int) {
	if refused := by.may("write:tokens", now); refused != 0 {
		return refused
	}
	if target.owner != by.owner || target.revoked {
		return http.StatusNotFound
	}
	target.revoked = true
	return http.StatusNoContent
}

// revokeLine revokes target and all that was made with it.
func (m *model) revokeLine(by, target *modelToken, now time.Time) (status int) {
	if refused := by.may("write:tokens", now); refused != 0 {
		return refused
	}
	if target.owner != by.owner {
		return http.StatusNotFound
	}
	status = http.StatusNotFound
	for _, t := range by.owner.tokens {
		for line := t; line != nil; line = line.parent {
			if line == target && !t.revoked {
				t.revoked, status = true, http.StatusNoContent
			}
		}
	}
	return status
}

// patch is what a request changes. What is not in it stays.
type patch struct {
	name     string
	newEnd   bool
	end      *time.Time
	newRight bool
	only     []string
}

// adds tells whether it gives t permissions that t does not have.
func (p patch) adds(t *modelToken) bool {
	return p.newRight && t.only != nil && (p.only == nil || !subset(p.only, t.only))
}

func (m *model) update(by, target *modelToken, p patch, now time.Time) (status int) {
	if refused := by.may("write:tokens", now); refused != 0 {
		return refused
	}
	switch {
	case target.owner != by.owner:
		return http.StatusNotFound
	case target.revoked:
		return http.StatusConflict
	case by.only != nil && (target.only == nil || !subset(target.only, by.only)):
		return http.StatusForbidden
	case p.newRight && by.only != nil && p.only == nil:
		return http.StatusForbidden
	case p.newRight && !subset(p.only, by.holds()):
		return http.StatusForbidden
	case p.newEnd && p.end != nil && target.begin != nil && !target.begin.Before(*p.end):
		return http.StatusBadRequest
	case p.newEnd && by.until != nil && (target.end == nil || later(p.end, *target.end)) && (target == by && target.end != nil || later(p.end, *by.until)):
		return http.StatusBadRequest
	case p.adds(target) && by.until != nil && later(target.end, *by.until):
		return http.StatusForbidden
	case p.newEnd && !target.active(now) && m.full(by.owner, now):
		return http.StatusConflict
	}
	if p.name != "" {
		target.name = p.name
	}
	if p.newEnd {
		target.end = p.end
		target.until = first(target.until, chainEnd(now, p.end))
	}
	if p.newEnd || p.adds(target) {
		target.until = first(target.until, by.until)
	}
	if p.newRight {
		target.only = p.only
	}
	return http.StatusOK
}

// list is what the owner of a token sees, by id.
func (m *model) list(by *modelToken) map[string]modelRow {
	rows := map[string]modelRow{}
	for _, t := range by.owner.tokens {
		r := modelRow{Name: t.name, Revoked: t.revoked, Only: slices.Clone(t.only)}
		if t.end != nil {
			r.End = t.end.Format(time.RFC3339)
		}
		if t.begin != nil {
			r.Begin = t.begin.Format(time.RFC3339)
		}
		if t.parent != nil {
			r.Parent = t.parent.id
		}
		slices.Sort(r.Only)
		rows[t.id] = r
	}
	return rows
}

type modelRow struct {
	Name, Begin, End string
	Parent           string
	Revoked          bool
	Only             []string
}

func (r modelRow) equal(other modelRow) bool {
	return r.Name == other.Name && r.Begin == other.Begin && r.End == other.End && r.Parent == other.Parent && r.Revoked == other.Revoked && slices.Equal(r.Only, other.Only)
}

func sameRows(a, b map[string]modelRow) bool { return maps.EqualFunc(a, b, modelRow.equal) }
