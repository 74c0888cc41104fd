package tools

import (
	"context"
	"errors"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Connector lets a person give the server a token of their own, past client and
// model.
type Connector interface {
	// Offer opens a page for it, or returns the one that is open.
	Offer(ctx context.Context) (Offer, error)
}

// Offer is an open page on which the person can give a token.
type Offer interface {
	// URL is the page's address. It holds no secret and gives access to none.
	URL() string
	// Show opens the page in the person's browser, or returns ErrUnreachable.
	Show(ctx context.Context) error
	// Wait returns once a token was given and works, or when ctx is done, or
	// with an error when the page ended without one.
	Wait(ctx context.Context) error
}

// ErrNotConnected is in the chain of the error that a Callers returns where
// there is no token at all and the person could give one.
var ErrNotConnected = errors.New("no token was given")

// howToConnect is what a tool answers where there is no token that could be
// used.
const howToConnect = "The person makes a personal access token in kenbun under Settings > Integrations > Personal Tokens, " +
	"and runs `kenbun-mcp login` in a terminal, or gives it to this server as KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND in the client's configuration; never in the conversation."

// Unauthenticated is the error for a caller whose token is missing or cannot be
// one. The text of cause is shown and must not hold the token.
func Unauthenticated(cause error) *Error {
	return newError(CodeUnauthenticated, "%s", cause).next(howToConnect).because(cause)
}

// callerOf finds out as whom the call runs, and where there is no token asks the
// person for one if there is a way.
func (b *Toolbox) callerOf(ctx context.Context, tool *Tool, request mcp.CallToolRequest) (Caller, error) {
	caller, err := b.callers.Caller(ctx)
	if err == nil || b.connector == nil || !errors.Is(err, ErrNotConnected) {
		return caller, err
	}
	if connected := b.connect(ctx, tool, request); connected != nil {
		var asking *inputRequired
		if errors.As(connected, &asking) {
			return Caller{}, connected
		}
		b.log.Info("the person gave no token", "request_id", RequestID(ctx), "tool", tool.Name, "cause", connected)
		e := Unauthenticated(err)
		e.Message = fmt.Sprintf("%s; a page for it was offered to the person and is not filled in (%s)", e.Message, connected)
		return Caller{}, e.because(connected)
	}
	return b.callers.Caller(ctx)
}

// connectionAnswer is the key of the client's answer to the offer of a page.
const connectionAnswer = "connect"

const connectMessage = "kenbun needs a personal access token of yours. It goes from the page to this server on your machine, and never into the conversation."

// connect offers a page to the person and waits until it was filled in.
func (b *Toolbox) connect(ctx context.Context, tool *Tool, request mcp.CallToolRequest) error {
	offer, err := b.connector.Offer(ctx)
	if err != nil {
		return err
	}
	switch {
	case server.IsModernRequest(ctx):
		err = b.offerAcrossRounds(ctx, offer, tool, request)
	default:
		err = offerInSession(ctx, offer)
	}
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, decisionTimeout)
	defer cancel()
	return offer.Wait(waiting)
}

func (b *Toolbox) offerAcrossRounds(ctx context.Context, offer Offer, tool *Tool, request mcp.CallToolRequest) error {
	info := server.RequestProtocolInfoFromContext(ctx)
	if info == nil || info.ClientCapabilities == nil || !asksByURL(info.ClientCapabilities.Elicitation) {
		return offer.Show(ctx)
	}
	about := claims{Tool: tool.Name, Target: connectionAnswer, Fingerprint: digest([]byte(offer.URL()))}
	if _, answered := request.Params.InputResponses[connectionAnswer]; answered && request.Params.RequestState != "" {
		if err := b.sealer.open(ctx, request.Params.RequestState, about); err != nil {
			return err
		}
		return accepted(server.ElicitationResponse(request.Params.InputResponses, connectionAnswer))
	}
	state, err := b.sealer.seal(about)
	if err != nil {
		return err
	}
	return &inputRequired{
		result: server.NewInputRequestBuilder(state).Elicit(connectionAnswer, connectElicitation(offer)).ToolResult(),
	}
}

func offerInSession(ctx context.Context, offer Offer) error {
	session := server.ClientSessionFromContext(ctx)
	described, ok := session.(server.SessionWithClientInfo)
	asker, canAsk := session.(server.SessionWithElicitation)
	if !ok || !canAsk || !asksByURL(described.GetClientCapabilities().Elicitation) {
		return offer.Show(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, decisionTimeout)
	defer cancel()
	answer, err := asker.RequestElicitation(waiting, mcp.ElicitationRequest{
		Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)},
		Params:  connectElicitation(offer),
	})
	if err != nil {
		return errors.New("the client did not show the page")
	}
	return accepted(answer)
}

// accepted reads whether the person is on the way to the page.
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
		ElicitationID: digest([]byte(url))[:16],
	}
}

// asksByURL reports whether the client can send its user to a page.
func asksByURL(capability *mcp.ElicitationCapability) bool {
	return capability != nil && capability.URL != nil
}
