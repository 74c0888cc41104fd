package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
)

// warnDays is from how many days before its end the token in use is warned
// about.
const warnDays = 7

// maxShownUnits is how many organizational units are shown.
const maxShownUnits = 50

func whoami() *Tool {
	return &Tool{
		Name:  "whoami",
		Title: "Who am I on kenbun",
		Description: "Tells as which kenbun user all calls run, with role and organizational units, and which token the server uses: " +
			"prefix, name, when it expires. Use it first, and when a call is refused.",
		Toolset: ToolsetAccount,
		Effect:  Reads,
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"user":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"email":{"type":"string"},"role":{"type":"string"}}},` +
			`"org_units":{"type":"array","items":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"is_default":{"type":"boolean"}},"required":["id","name"]}},` +
			`"token":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},"status":{"type":"string"},` +
			`"expires_at":{"type":"string","description":"Absent: never expires, or not known."},"days_left":{"type":"integer"},` +
			narrowingSchema + `,"source":{"type":"string"}}},` +
			`"api":{"type":"string"},"limits":{"type":"string","description":"What the operator allows at most."},` +
			`"warnings":{"type":"array","items":{"type":"string"}}` +
			`},"required":["token","api","limits"]}`),
		run: runWhoami,
	}
}

// Identity is as whom calls run. Text that came from outside is cleaned.
type Identity struct {
	User     *identityUser  `json:"user,omitempty"`
	OrgUnits []identityUnit `json:"org_units,omitempty"`
	Token    identityToken  `json:"token"`
	API      string         `json:"api"`
	// Limits is what the operator allows at most; empty where nobody limits.
	Limits   string   `json:"limits,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

type identityUser struct {
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	Role  string `json:"role,omitempty"`
}

type identityUnit struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	IsDefault bool   `json:"is_default,omitempty"`
}

type identityToken struct {
	ID          string   `json:"id,omitempty"`
	Name        string   `json:"name,omitempty"`
	Prefix      string   `json:"prefix,omitempty"`
	Status      string   `json:"status,omitempty"`
	ExpiresAt   string   `json:"expires_at,omitempty"`
	DaysLeft    *int     `json:"days_left,omitempty"`
	ValidFrom   string   `json:"valid_from,omitempty"`
	Permissions []string `json:"permissions,omitzero"`
	Source      string   `json:"source,omitempty"`
}

func runWhoami(ctx context.Context, c *call) (*result, error) {
	who, err := Identify(ctx, c.caller, c.apiAddress, c.now)
	if err != nil {
		return nil, err
	}
	who.Limits = c.policy.summary(c.tools)
	who.Warnings = append(who.Warnings, c.recoveries.take(c.caller.ID)...)
	return &result{structured: who, text: who.Text(c.now)}, nil
}

// Identify puts together what the API at address is willing to tell about
// caller. A PAT may be refused on GET /me, which kenbun's documentation shows
// for signed-in sessions; then the token's own row in the list is what there is.
func Identify(ctx context.Context, caller Caller, address string, now time.Time) (*Identity, error) {
	var (
		me                         *client.Me
		token                      *client.Token
		units                      []client.OrgUnit
		meErr, tokensErr, unitsErr error
		asking                     sync.WaitGroup
	)
	asking.Go(func() { me, meErr = caller.API.Me(ctx) })
	asking.Go(func() { token, tokensErr = tokenInUse(ctx, caller) })
	asking.Go(func() { units, unitsErr = caller.API.OrgUnits(ctx) })
	asking.Wait()

	if meErr != nil && tokensErr != nil {
		// Neither road tells who this is; the list's error is the one about the
		// token itself, unless the API was out of reach for the other.
		if errors.Is(meErr, client.ErrUnavailable) {
			tokensErr = meErr
		}
		return nil, upstream(tokensErr, "find out who the user is")
	}
	who := &Identity{
		Token: identityToken{Prefix: caller.TokenPrefix, Source: caller.TokenSource},
		API:   address,
	}
	who.describeUser(me, meErr)
	if unitsErr != nil && !refusedByKenbun(unitsErr) {
		who.Warnings = append(who.Warnings, notTold(unitsErr, "", "the organizational units could not be looked at")+".")
	}
	if unitsErr == nil {
		for _, unit := range units[:min(len(units), maxShownUnits)] {
			who.OrgUnits = append(who.OrgUnits, identityUnit{
				ID: shown(unit.ID, 64), Name: shown(unit.Name, 100), IsDefault: unit.IsDefault,
			})
		}
		if left := len(units) - len(who.OrgUnits); left > 0 {
			who.Warnings = append(who.Warnings, fmt.Sprintf("The user belongs to %d more organizational units, which are not shown.", left))
		}
	}
	who.describeToken(token, tokensErr, now)
	return who, nil
}

func (who *Identity) describeUser(me *client.Me, err error) {
	if err != nil {
		who.Warnings = append(who.Warnings, notTold(err, "kenbun did not tell this token who its user is", "it could not be found out who its user is")+"; the calls still run as that user.")
		return
	}
	who.User = &identityUser{
		ID:    shown(me.OrgMemberID, 64),
		Name:  shown(me.FirstName+" "+me.LastName, 100),
		Email: shown(me.Email, 200),
		Role:  shown(me.Role, 64),
	}
	// What counts now: the token may be narrowed, and its user's role may have
	// come to hold less.
	who.Token.Permissions = shownPermissions(me.Permissions, maxShownPermissions)
}

// notTold says why something is not known: refused where kenbun itself said no, and
// otherwise unasked with the cause.
func notTold(err error, refused, unasked string) string {
	if refusedByKenbun(err) {
		return refused
	}
	var api *client.Error
	_ = errors.As(err, &api) // it is one, or kenbun would have refused
	text := unasked + " (" + api.Reason
	if said := saidBy(api); said != "" {
		text += "; " + said
	}
	return text + ")"
}

// refusedByKenbun reports whether err is kenbun's own no, which will not pass. An error
// without a cause counts as one.
func refusedByKenbun(err error) bool {
	var api *client.Error
	return !errors.As(err, &api) || api.Cause == client.CauseAPI && !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrRateLimited)
}

// tokenInUse finds the token that caller runs on, nil if the list has none such.
func tokenInUse(ctx context.Context, caller Caller) (*client.Token, error) {
	var found *client.Token
	err := caller.API.ReadTokens(ctx, func() func(*client.Token) {
		found = nil
		return func(token *client.Token) {
			if found == nil && isNamedBy(token, caller.TokenPrefix) {
				found = token
			}
		}
	})
	return found, err
}

func (who *Identity) describeToken(token *client.Token, err error, now time.Time) {
	if err != nil {
		who.Warnings = append(who.Warnings, notTold(err, "kenbun did not let this token look at the user's tokens", "the user's tokens could not be looked at")+", so its name and expiry are not known.")
		return
	}
	if token == nil {
		return
	}
	row := NewTokenRow(token, now, "")
	who.Token.ID, who.Token.Name, who.Token.Status = row.ID, row.Name, row.Status
	who.Token.ExpiresAt, who.Token.ValidFrom = row.ExpiresAt, row.ValidFrom
	if who.Token.Permissions == nil {
		who.Token.Permissions = row.Permissions
	}
	if token.Status(now) != client.StatusActive {
		who.Warnings = append(who.Warnings, "The token in use is "+row.Status+".")
	}
	if at := token.ExpiresAt; at != nil && at.After(now) {
		left := daysLeft(*at, now)
		who.Token.DaysLeft = &left
		if left <= warnDays {
			who.Warnings = append(who.Warnings, fmt.Sprintf("The token in use expires %s.", humantime.Relative(*at, now)))
		}
	}
}

// Text is the identity in lines for a person.
func (who *Identity) Text(now time.Time) string {
	var b strings.Builder
	if u := who.User; u != nil {
		fmt.Fprintf(&b, "user: %s\nemail: %s\nrole: %s\n", u.Name, u.Email, u.Role)
	} else {
		b.WriteString("user: not known\n")
	}
	for _, unit := range who.OrgUnits {
		fmt.Fprintf(&b, "org unit: %s (%s)", unit.Name, unit.ID)
		if unit.IsDefault {
			b.WriteString(", default")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "token: %s", who.Token.Prefix)
	if who.Token.Name != "" {
		expires := "never"
		if who.Token.ExpiresAt != "" {
			expires = shortTime(who.Token.ExpiresAt, now)
		}
		fmt.Fprintf(&b, "\ntoken name: %s\ntoken expires: %s", who.Token.Name, expires)
	}
	if who.Token.Permissions != nil {
		b.WriteString("\ntoken permissions: " + permissionWords(who.Token.Permissions))
	}
	fmt.Fprintf(&b, "\napi: %s", who.API)
	if who.Limits != "" {
		b.WriteString("\nlimits: " + who.Limits)
	}
	for _, warning := range who.Warnings {
		b.WriteString("\nwarning: " + warning)
	}
	return b.String()
}
