package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/webui"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// secretLimit is how long the page waits for the user.
const secretLimit = 5 * time.Minute

// Secret delivers a new token on a page in the user's browser. The token is made after a click
// there, and its value is shown once.
type Secret struct {
	pages *Server
	limit time.Duration
}

// NewSecret delivers on pages, and waits for limit until the user asks for the value; zero means
// five minutes.
func NewSecret(pages *Server, limit time.Duration) *Secret {
	if limit <= 0 {
		limit = secretLimit
	}
	return &Secret{pages: pages, limit: limit}
}

// Method implements tokens.Deliverer.
func (*Secret) Method() string { return "page" }

// Check reports whether a page can be opened.
func (s *Secret) Check(context.Context) error {
	if s.pages.browser == nil {
		return &tools.Error{
			Code:    tools.CodeCannotDeliver,
			Message: "no browser can be opened here to show a new token in",
			Next:    "The operator of this server can choose another delivery method with --deliver keychain or --deliver file.",
		}
	}
	return s.pages.ready()
}

// Deliver opens the page, and waits until the user asks for the value and the browser took it.
// On an error, nobody has seen the value.
func (s *Secret) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	pickup, err := s.Expect(ctx, client.NewToken{
		Name: token.Name, ExpiresAt: token.ExpiresAt, ValidFrom: token.ValidFrom, Permissions: token.Permissions,
	})
	if err != nil {
		return tokens.Receipt{}, err
	}
	if err := pickup.Asked(ctx); err != nil {
		return tokens.Receipt{}, err
	}
	return pickup.Deliver(ctx, caller, token)
}

// Waits implements tokens.Receiver.
func (s *Secret) Waits() time.Duration { return s.limit }

// Expect implements tokens.Receiver: it opens the page.
func (s *Secret) Expect(ctx context.Context, want client.NewToken) (tokens.Pickup, error) {
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	content := newSecretContent(want)
	page, err := s.pages.open(content, s.limit)
	if err != nil {
		return nil, err
	}
	content.page = page
	if err := s.pages.show(ctx, page); err != nil {
		// The command may have failed after the browser took the address.
		page.end(err)
	}
	return &secretPickup{Secret: s, page: page, content: content}, nil
}

// secretPickup is a page on which the user asks for one new token.
type secretPickup struct {
	*Secret
	page    *page
	content *secretContent
	// given means that the page has the token, or knows that there is none.
	given bool
}

// Until implements tokens.Pickup.
func (p *secretPickup) Until() time.Time { return p.page.ends }

// Asked implements tokens.Pickup.
func (p *secretPickup) Asked(ctx context.Context) error {
	select {
	case <-p.content.asked:
		return nil
	case <-p.page.done:
		return p.undelivered(p.page.err)
	case <-ctx.Done():
		return p.undelivered(p.page.wait(ctx))
	}
}

// Deliver implements tokens.Pickup.
func (p *secretPickup) Deliver(ctx context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	p.given = true
	p.content.made <- token
	err := p.page.wait(ctx)
	select {
	case <-p.content.made: // nobody took it
	default:
	}
	if err != nil {
		return tokens.Receipt{}, p.undelivered(err)
	}
	return tokens.Receipt{
		Method: p.Method(),
		Where:  "a page in the browser",
		Note:   "The value was shown to the user once, on a page in their browser. They have it now, and it cannot be shown again.",
		Held:   true,
	}, nil
}

// Close implements tokens.Pickup.
func (p *secretPickup) Close() {
	if p.given {
		return
	}
	p.given = true
	close(p.content.made)
	p.page.end(errNotMade)
}

func (s *Secret) undelivered(err error) error {
	const callAgain = "Call again when the user is at the computer. A page with a button that shows the token opens in the browser."
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		what := "a page was opened in the user's browser, and nobody asked for the value there within " + minutes(s.limit)
		return &tools.Error{Code: tools.CodeCannotDeliver, Message: what, Next: callAgain}
	case errors.Is(err, errDiscarded):
		return &tools.Error{Code: tools.CodeDeclined, Message: errDiscarded.Error(), Next: "Leave it at that unless the user brings it up again."}
	case errors.Is(err, errTooLate):
		return &tools.Error{Code: tools.CodeCannotDeliver, Message: "the page in the user's browser had ended before the token was there", Next: callAgain}
	default:
		return err
	}
}

var (
	errDiscarded = errors.New("the user does not want the token")
	// errNotMade indicates that there is no token for the page.
	errNotMade = errors.New("no token came to the page")
	// errTooLate indicates that the page ended before the token came, which may still be made.
	errTooLate = errors.New("the page ended before the token came")
)

// secretContent is the page of a new token, which is made once the user asks for it.
type secretContent struct {
	facts []approval.Fact
	// asked is closed when the user asks for the token.
	asked chan struct{}
	// made receives the token. It is closed if there is none.
	made chan *client.CreatedToken
	// page is where the token is shown. It may be nil.
	page *page
}

func newSecretContent(want client.NewToken) *secretContent {
	facts := delivery.Facts(&client.Token{
		Name: want.Name, CreatedAt: time.Now(), ExpiresAt: want.ExpiresAt, ValidFrom: want.ValidFrom, Permissions: want.Permissions,
	}, date)
	return &secretContent{facts: facts, asked: make(chan struct{}), made: make(chan *client.CreatedToken, 1)}
}

type secretView struct {
	Facts []approval.Fact
	Value string
}

func (s *secretContent) view() webui.Page {
	return webui.Page{
		Template: "secret", Status: http.StatusOK, Title: "A new kenbun token for you", Data: secretView{Facts: s.facts},
	}
}

func (s *secretContent) act(ctx context.Context, form url.Values) reply {
	switch form.Get("choice") {
	case "show":
		return s.show(ctx)
	case "discard":
		return reply{
			view: newNotice(http.StatusOK, "No token was made", "",
				"You did not want it. Your assistant will be told.",
				"You can close this tab."),
			over: true, err: errDiscarded,
		}
	default:
		return reply{view: noticeOfBadForm(nil)}
	}
}

// noticeOfNoToken answers a user whose token was not made, as far as is known.
func noticeOfNoToken() webui.Page {
	return newNotice(http.StatusBadGateway, "There is no token for you", "bad",
		"No token reached this page. It could not be created, or it was no longer wanted.",
		"Your assistant will tell you why, and whether anything is left of it.")
}

// noticeOfLateToken answers a user whose token is late. If it is made, it is revoked.
func noticeOfLateToken() webui.Page {
	return newNotice(http.StatusBadGateway, "The token did not arrive in time", "bad",
		"It can no longer be shown. If it was created after all, it is to be revoked, because nobody holds it.",
		"Your assistant will tell you what became of it.")
}

// show waits until the token is made, and shows it.
func (s *secretContent) show(ctx context.Context) reply {
	if s.page != nil {
		s.page.hold()
	}
	close(s.asked)
	limit := time.NewTimer(acceptTimeout)
	defer limit.Stop()
	var token *client.CreatedToken
	select {
	case token = <-s.made:
		if token == nil {
			return reply{view: noticeOfNoToken(), over: true, err: errNotMade}
		}
	case <-ctx.Done():
		return reply{view: noticeOfLateToken(), over: true, err: errTooLate}
	case <-limit.C:
		return reply{view: noticeOfLateToken(), over: true, err: errTooLate}
	}
	shown := webui.Page{
		Template: "shown", Status: http.StatusOK, Title: "Copy your token now",
		Data: secretView{Facts: delivery.Facts(&token.Token, date), Value: token.Value.Reveal()},
	}
	return reply{view: shown, over: true, mustArrive: true}
}
