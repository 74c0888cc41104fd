package approval

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools"
)

// TokenPage lets a user give the server a token of their own, past client and model.
type TokenPage interface {
	// Offer opens the page, or returns the one that is open.
	Offer(ctx context.Context) (Offer, error)
}

// Offer is an open page on which the user can give a token.
type Offer interface {
	// URL is the page's address. It holds no secret and gives access to none.
	URL() string
	// Show opens the page in the user's browser, or returns ErrUnreachable.
	Show(ctx context.Context) error
	// Wait returns once a token was given and works, or with the error of ctx, or with an
	// error when the page closed without one. The page closes when ctx was cancelled and
	// nobody else waits for it.
	Wait(ctx context.Context) error
}

// connector asks the user for a token on a page.
type connector struct {
	*Approver
	page    TokenPage
	callers tools.Callers
	offers  offers
}

// Connector returns what asks the user for a token on page, within the budget of questions.
func (a *Approver) Connector(page TokenPage, callers tools.Callers) tools.Connector {
	return &connector{Approver: a, page: page, callers: callers}
}

// Connect implements [tools.Connector].
func (c *connector) Connect(ctx context.Context, tool string, request mcp.CallToolRequest, cause error) error {
	err := c.connect(ctx, tool, request)
	var asking *tools.InputRequired
	if err == nil || errors.As(err, &asking) {
		return err
	}
	c.log.Info("the user gave no token", "request_id", tools.RequestID(ctx), "tool", tool, "cause", err)
	return c.notConnected(cause, err)
}

// notConnected adds to cause, why there is no token, what became of the page for it.
func (c *connector) notConnected(cause, connected error) *tools.Error {
	e := tools.Unauthenticated(cause)
	e = e.Reasoned(e.Reason()).Because(connected)
	var held *HeldBackError
	if errors.Is(connected, context.DeadlineExceeded) {
		e.Message = fmt.Sprintf("%s; a page for it was offered to the user, and is not filled in yet", e.Message)
		e.Next = "Tell the user to fill in that page, and call again: that waits with it. Without the page: " + e.Next
		return e
	}
	if !errors.As(connected, &held) {
		e.Message = fmt.Sprintf("%s; a page for it was offered to the user and is not filled in (%s)", e.Message, tools.WithoutCode(connected))
		return e
	}
	now := c.clock()
	e.RetryAfter = max(held.Until.Sub(now), 0)
	when := fmt.Sprintf("%s (%s)", humantime.Relative(held.Until, now), tools.Timestamp(&held.Until))
	if held.Why == SaidNo {
		e.Message = fmt.Sprintf("%s; the user said no to the page for it %s, and is not offered one before then: %s", e.Message, humantime.Relative(held.At, now), when)
	} else {
		e.Message = fmt.Sprintf("%s; the user was offered a page for it and gave no token; one can be offered again %s", e.Message, when)
	}
	return e
}

// connectionAnswer is the key of the client's answer to the offer of a page.
const connectionAnswer = "connect"

const connectMessage = "kenbun needs a personal access token of yours. It goes from the page to this server on your machine, and never into the conversation."

// ConnectTimeout is how long the user has to give a token on a page. Only one page is open
// at a time.
const ConnectTimeout = 15 * time.Minute

// connectAccount is the account for offers of a page: the user is not known yet.
const connectAccount = "connect"

// connect offers a page to the user and waits until it is filled in, for as long as the
// request can wait. The page stays open for longer. Meanwhile other calls wait for it too,
// and the user is asked once. After a no, none is offered for a while.
func (c *connector) connect(ctx context.Context, tool string, request mcp.CallToolRequest) error {
	if question, err := c.offerAnswered(ctx, tool, request); question.ID != "" || err != nil {
		return c.awaitToken(ctx, question, err)
	}
	id, err := c.beginOffer(ctx)
	if isOpenAlready(err) {
		if joined, err := c.joinOffer(ctx, tool); joined {
			return err
		}
		id, err = c.beginOffer(ctx)
	}
	if err != nil {
		return err
	}
	question := Opened{Account: connectAccount, ID: id}
	offer, err := c.page.Offer(ctx)
	if err == nil {
		err = c.offerNoted(ctx, offer, question, tool)
	}
	var asking *tools.InputRequired
	if errors.As(err, &asking) {
		return err
	}
	return c.awaitToken(ctx, question, err)
}

// beginOffer opens the question that the offer of a page is.
func (c *connector) beginOffer(ctx context.Context) (id string, err error) {
	return c.budget.Begin(ctx, Ask{Account: connectAccount, Key: connectAccount, Target: connectAccount}, ConnectTimeout)
}

func isOpenAlready(err error) bool {
	var held *HeldBackError
	return errors.As(err, &held) && held.Why == AlreadyOpen
}

// joinOffer waits for the page that another call offered, or offers it again if the user may
// not have seen it. It returns false, and ends the question, if that page has closed.
func (c *connector) joinOffer(ctx context.Context, tool string) (joined bool, err error) {
	offer, err := c.page.Offer(ctx)
	if err != nil {
		return true, err
	}
	switch question, isLast, unseen := c.offers.last(offer); {
	case isLast && unseen:
		// The client may have lost the address, which nobody else knows.
		return true, c.offerNoted(ctx, offer, question, tool)
	case isLast, question.ID == "": // without a question: another call is about to show it
		return true, c.awaitToken(ctx, question, nil)
	default:
		c.End(ctx, question, Withdrawn)
		return false, nil
	}
}

// offerNoted offers the page of an open question, and remembers that.
func (c *connector) offerNoted(ctx context.Context, offer Offer, question Opened, tool string) error {
	err := c.offer(ctx, offer, question, tool)
	var asking *tools.InputRequired
	c.offers.note(offer, question, errors.As(err, &asking))
	return err
}

// offers remembers the latest offer of a page.
type offers struct {
	mu       sync.Mutex
	url      string
	question Opened
	// throughClient means that the client has the address alone, since at.
	throughClient bool
	at            time.Time
}

// reofferAfter is how long a client has to show an offer before another call repeats it.
const reofferAfter = 30 * time.Second

func (o *offers) note(offer Offer, question Opened, throughClient bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.url, o.question, o.throughClient, o.at = offer.URL(), question, throughClient, time.Now()
}

// last returns the question of the latest offer, whether that was of the same page, and
// whether the user may never have seen it.
func (o *offers) last(offer Offer) (question Opened, isLast, unseen bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.question, o.url == offer.URL(), o.throughClient && time.Since(o.at) > reofferAfter
}

// awaitToken waits for the open page unless asked, the result of the offer, is an error. It
// ends the question if there is one.
func (c *connector) awaitToken(ctx context.Context, question Opened, asked error) error {
	err := asked
	if _, missing := c.callers.Caller(ctx); err == nil && missing != nil {
		// Not filled in while the client had its dialog open.
		var offer Offer
		if offer, err = c.page.Offer(ctx); err == nil {
			err = offer.Wait(ctx)
		}
	}
	if question.ID == "" || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errDialogClosed) {
		return err // the page stays open, and the next call waits for it
	}
	outcome := Unanswered
	switch {
	case errors.Is(err, errDialogClosed):
		outcome = Withdrawn
	case err == nil:
		outcome = Agreed
	case errors.Is(err, ErrDeclined):
		outcome = Declined
	case errors.Is(err, ErrUnreachable):
		outcome = Unreachable
	}
	c.End(ctx, question, outcome)
	return err
}

// offer shows the page to the user, through the client or past it.
func (c *connector) offer(ctx context.Context, offer Offer, question Opened, tool string) error {
	if !server.IsModernRequest(ctx) {
		return offerInSession(ctx, offer)
	}
	info := server.RequestProtocolInfoFromContext(ctx)
	if info == nil || info.ClientCapabilities == nil || !asksByURL(info.ClientCapabilities.Elicitation) {
		return offer.Show(ctx)
	}
	state, err := c.sealer.seal(offerClaims(tool, offer), question, ConnectTimeout)
	if err != nil {
		return err
	}
	return offering(offer, state)
}

func offerClaims(tool string, offer Offer) claims {
	return claims{Tool: tool, Target: connectionAnswer, Fingerprint: tools.Digest([]byte(offer.URL()))}
}

func offering(offer Offer, state string) error {
	return &tools.InputRequired{
		Result: server.NewInputRequestBuilder(state).Elicit(connectionAnswer, connectElicitation(offer)).ToolResult(),
	}
}

// offerAnswered reads the client's answer to an offer across rounds. No question means that
// the call has no answer. The error is why the user is not on the way to the page, or the
// same offer again if only the answer is missing.
func (c *connector) offerAnswered(ctx context.Context, tool string, request mcp.CallToolRequest) (Opened, error) {
	state := request.Params.RequestState
	if state == "" || !server.IsModernRequest(ctx) {
		return Opened{}, nil
	}
	offer, err := c.page.Offer(ctx)
	if err != nil {
		return Opened{}, err
	}
	about := offerClaims(tool, offer)
	opened, err := c.sealer.look(state, about)
	_, answered := request.Params.InputResponses[connectionAnswer]
	switch {
	case err != nil && answered:
		return Opened{}, err
	case err != nil:
		return Opened{}, nil //nolint:nilerr // the state is of another question: the user is asked again
	case answered:
		if err := c.sealer.open(ctx, state, about); err != nil {
			return Opened{}, err
		}
		return opened.Question, accepted(server.ElicitationResponse(request.Params.InputResponses, connectionAnswer))
	}
	if open, err := c.budget.IsOpen(ctx, opened.Question.Account, opened.Question.ID); err != nil || !open {
		return Opened{}, err
	}
	return Opened{}, offering(offer, state)
}

func offerInSession(ctx context.Context, offer Offer) error {
	session := server.ClientSessionFromContext(ctx)
	described, ok := session.(server.SessionWithClientInfo)
	asker, canAsk := session.(server.SessionWithElicitation)
	if !ok || !canAsk || !asksByURL(described.GetClientCapabilities().Elicitation) {
		return offer.Show(ctx)
	}
	answer, err := asker.RequestElicitation(ctx, mcp.ElicitationRequest{
		Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)},
		Params:  connectElicitation(offer),
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errDialogClosed, ctx.Err())
	case err != nil:
		return errors.New("the client did not show the page")
	}
	return accepted(answer)
}

// errDialogClosed indicates that the client's dialog was withdrawn because the call could
// not wait longer. The next call shows it again.
var errDialogClosed = errors.New("the dialog with the page's address was closed")

// accepted reads whether the user is on the way to the page.
func accepted(answer *mcp.ElicitationResult) error {
	if answer == nil || answer.Action != mcp.ElicitationResponseActionAccept {
		return ErrDeclined
	}
	return nil
}

func connectElicitation(offer Offer) mcp.ElicitationParams {
	url := offer.URL()
	return mcp.ElicitationParams{
		Mode:          mcp.ElicitationModeURL,
		Message:       connectMessage,
		URL:           url,
		ElicitationID: tools.Digest([]byte(url))[:16],
	}
}

// asksByURL reports whether the client can send its user to a page.
func asksByURL(capability *mcp.ElicitationCapability) bool {
	return capability != nil && capability.URL != nil
}
