package human

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// secretPageLimit is how long a new token waits for its person.
const secretPageLimit = 5 * time.Minute

// SecretPage delivers a new token on a page that the person's browser opens:
// the value is shown once, after a click.
type SecretPage struct {
	pages *Pages
	limit time.Duration
}

// NewSecretPage delivers on pages, and waits for limit until the person asks
// for the value; zero means five minutes.
func NewSecretPage(pages *Pages, limit time.Duration) *SecretPage {
	if limit <= 0 {
		limit = secretPageLimit
	}
	return &SecretPage{pages: pages, limit: limit}
}

// Road implements tools.Deliverer.
func (*SecretPage) Road() string { return "page" }

// Check reports whether a browser can be opened here and a page be served.
func (s *SecretPage) Check(context.Context) error {
	if s.pages.browser == nil {
		return &tools.Error{
			Code:    tools.CodeCannotDeliver,
			Message: "no browser can be opened here to show a new token in",
			Next:    "The operator of this server can choose another road with --deliver keychain or --deliver file.",
		}
	}
	return s.pages.ready()
}

// Deliver opens the page and waits until the browser took the value. It fails
// if the person does not want the token, does not ask for it in time, or the
// page ends before; then nobody has seen the value.
func (s *SecretPage) Deliver(ctx context.Context, _ tools.Caller, token *client.CreatedToken) (tools.Receipt, error) {
	if err := s.Check(ctx); err != nil {
		return tools.Receipt{}, err
	}
	page, err := s.pages.open(newSecretContent(token), s.limit)
	if err != nil {
		return tools.Receipt{}, err
	}
	if err := s.pages.show(ctx, page); err != nil {
		// The command may have failed after the browser took the address.
		page.end(err)
	}
	if err := page.wait(ctx); err != nil {
		return tools.Receipt{}, s.undelivered(err)
	}
	return tools.Receipt{
		Road:  s.Road(),
		Where: "a page in the browser",
		Note:  "The value was shown to the person on a page in their browser, once. They have it now; it cannot be shown again.",
	}, nil
}

func (s *SecretPage) undelivered(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &tools.Error{
			Code:    tools.CodeCannotDeliver,
			Message: "a page was opened in the person's browser, and nobody asked for the value there within " + minutes(s.limit),
			Next:    "Call again when the person is at the computer: a page opens in the browser, with a button that shows the token.",
		}
	case errors.Is(err, errDiscarded):
		return &tools.Error{
			Code:    tools.CodeDeclined,
			Message: "the person does not want the token",
			Next:    "Leave it at that unless the person brings it up again.",
		}
	default:
		return err
	}
}

var errDiscarded = errors.New("the person does not want the token")

// secretContent is a new token on its page.
type secretContent struct {
	value client.Secret
	facts []tools.Fact
}

func newSecretContent(token *client.CreatedToken) *secretContent {
	row := tools.NewTokenRow(&token.Token, time.Now(), "")
	expires := "never"
	if token.ExpiresAt != nil {
		expires = date(*token.ExpiresAt)
	}
	facts := []tools.Fact{
		{Label: "Name", Value: row.Name},
		{Label: "Begins with", Value: row.Prefix},
		{Label: "Expires", Value: expires},
	}
	if token.ValidFrom != nil {
		facts = append(facts, tools.Fact{Label: "Valid from", Value: date(*token.ValidFrom)})
	}
	if row.Permissions != nil {
		facts = append(facts, tools.Fact{Label: "Permissions", Value: row.PermissionWords()})
	}
	return &secretContent{value: token.Value, facts: facts}
}

type secretView struct {
	Facts []tools.Fact
	Value string
}

func (s *secretContent) view() view {
	return view{
		template: "secret", status: http.StatusOK,
		title: "Your new kenbun token is ready",
		data:  secretView{Facts: s.facts},
	}
}

func (s *secretContent) act(_ context.Context, form url.Values) reply {
	switch form.Get("choice") {
	case "show":
		shown := view{
			template: "shown", status: http.StatusOK,
			title: "Copy your token now",
			data:  secretView{Facts: s.facts, Value: s.value.Reveal()},
		}
		s.value = client.Secret{}
		return reply{view: shown, over: true, mustArrive: true}
	case "discard":
		s.value = client.Secret{}
		return reply{
			view: newNotice(http.StatusOK, "The token is thrown away", "",
				"Nobody has seen its value. kenbun-mcp revokes it now; your assistant tells you when that is done.",
				"You can close this tab."),
			over: true, err: errDiscarded,
		}
	default:
		return reply{view: noticeOfBadForm(nil)}
	}
}
