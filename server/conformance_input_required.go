//go:build conformance

package server

import (
	"context"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// addInputRequiredTools adds tools that answer with what they need to know, and
// are called again with it.
func (f *conformanceFixtures) addInputRequiredTools() {
	f.addTool("test_input_required_result_elicitation", "Asks the person for a name",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return askName(request), nil
		})
	f.addTool("test_input_required_result_sampling", "Asks the client's model for a capital",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			const key = "capital_question"
			if text, ok := sampled(request.Params.InputResponses, key); ok {
				return mcp.NewToolResultText("The model says: " + text), nil
			}
			return server.NewInputRequestBuilder("").Sample(key, sampling("What is the capital of France?", 100)).ToolResult(), nil
		})
	f.addTool("test_input_required_result_list_roots", "Asks the client for its roots",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			const key = "client_roots"
			if roots := server.RootsResponse(request.Params.InputResponses, key); roots != nil {
				return mcp.NewToolResultText(fmt.Sprintf("The client's roots: %v", roots.Roots)), nil
			}
			return server.NewInputRequestBuilder("").Roots(key).ToolResult(), nil
		})
	f.addTool("test_input_required_result_multiple_inputs", "Asks the person, the model and the client at once", f.askForAll)
	f.addTool("test_input_required_result_multi_round", "Asks the person twice", f.askTwice)
	for _, name := range []string{"test_input_required_result_request_state", "test_input_required_result_tampered_state"} {
		f.addTool(name, "Asks the person to confirm, and believes the answer only with the state that it gave out", f.askToConfirm)
	}
	f.addTool("test_input_required_result_capabilities", "Asks whom the client can ask", askWhomTheClientCan)
}

func (f *conformanceFixtures) askToConfirm(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	const key = "confirm"
	about := request.Params.Name
	if _, answered := server.InputResponse(request.Params.InputResponses, key); answered {
		if _, err := f.states.open(about, request.Params.RequestState); err != nil {
			return nil, err
		}
		if ok, _ := accepted[bool](request.Params.InputResponses, key, "ok"); ok {
			return mcp.NewToolResultText("state-ok"), nil
		}
		return mcp.NewToolResultText("It was not confirmed."), nil
	}
	state, err := f.states.seal(requestState{About: about, Round: 1})
	if err != nil {
		return nil, err
	}
	return server.NewInputRequestBuilder(state).Elicit(key, form("Please confirm", "ok", "boolean")).ToolResult(), nil
}

func (f *conformanceFixtures) askForAll(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	const person, model, client = "user_name", "greeting", "client_roots"
	about, responses := request.Params.Name, request.Params.InputResponses
	name, named := accepted[string](responses, person, "name")
	greeting, greeted := sampled(responses, model)
	if roots := server.RootsResponse(responses, client); named && greeted && roots != nil {
		if _, err := f.states.open(about, request.Params.RequestState); err != nil {
			return nil, err
		}
		return mcp.NewToolResultText(fmt.Sprintf("%s %s, with %d roots", greeting, name, len(roots.Roots))), nil
	}
	state, err := f.states.seal(requestState{About: about, Round: 1})
	if err != nil {
		return nil, err
	}
	return server.NewInputRequestBuilder(state).
		Elicit(person, form("What is your name?", "name", "string")).
		Sample(model, sampling("Generate a greeting", 50)).
		Roots(client).
		ToolResult(), nil
}

// askTwice carries the answer of the first round to the second in its state,
// without which no answer counts.
func (f *conformanceFixtures) askTwice(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	const first, second = "step1", "step2"
	responses, state := request.Params.InputResponses, requestState{About: request.Params.Name, Round: 1}
	if request.Params.RequestState != "" {
		var err error
		if state, err = f.states.open(request.Params.Name, request.Params.RequestState); err != nil {
			return nil, err
		}
		if color, ok := accepted[string](responses, second, "color"); ok && state.Round == 2 {
			return mcp.NewToolResultText(fmt.Sprintf("%s likes %s.", state.Name, color)), nil
		}
		if name, ok := accepted[string](responses, first, "name"); ok && state.Round == 1 {
			state.Round, state.Name = 2, name
		}
	}
	sealed, err := f.states.seal(state)
	if err != nil {
		return nil, err
	}
	question := server.NewInputRequestBuilder(sealed)
	if state.Round == 1 {
		question.Elicit(first, form("Step 1: What is your name?", "name", "string"))
	} else {
		question.Elicit(second, form("Step 2: What is your favorite color?", "color", "string"))
	}
	return question.ToolResult(), nil
}

func askWhomTheClientCan(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if len(request.Params.InputResponses) > 0 {
		return mcp.NewToolResultText("Thank you."), nil
	}
	client, question := capabilitiesOf(ctx), server.NewInputRequestBuilder("")
	if client.Elicitation != nil {
		question.Elicit("user_name", form("What is your name?", "name", "string"))
	}
	if client.Sampling != nil {
		question.Sample("greeting", sampling("Generate a greeting", 50))
	}
	if client.Roots != nil {
		question.Roots("client_roots")
	}
	if client.Elicitation == nil && client.Sampling == nil && client.Roots == nil {
		return mcp.NewToolResultText("The client can ask nobody."), nil
	}
	return question.ToolResult(), nil
}
