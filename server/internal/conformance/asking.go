//go:build conformance

package conformance

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// addAskingTools adds tools that ask clients of protocols before 2026-07-28 in
// the middle of a call, and one that newer clients must be able to answer.
func (f *fixtures) addAskingTools() {
	f.mcp.AddTool(mcp.NewTool("test_sampling",
		mcp.WithDescription("Asks the client's model"),
		mcp.WithString("prompt", mcp.Description("the prompt"), mcp.Required()),
	), func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		const key = "completion"
		if text, ok := sampled(request.Params.InputResponses, key); ok {
			return mcp.NewToolResultText("LLM response: " + text), nil
		}
		return server.NewInputRequestBuilder("").
			Sample(key, sampling(request.GetString("prompt", ""), 100)).
			ToolResult(), nil
	})
	f.mcp.AddTool(mcp.NewTool("test_elicitation",
		mcp.WithDescription("Asks the person"),
		mcp.WithString("message", mcp.Description("the question"), mcp.Required()),
	), func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return ask(request, request.GetString("message", ""), map[string]any{
			"type": "object",
			"properties": map[string]any{
				"username": map[string]any{"type": "string", "description": "User's response"},
				"email":    map[string]any{"type": "string", "description": "User's email address"},
			},
			"required": []string{"username", "email"},
		}), nil
	})
	f.addTool("test_elicitation_sep1034_defaults", "Asks the person with a form that is filled in already",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return ask(request, "Is this you?", map[string]any{"type": "object", "properties": filledIn}), nil
		})
	f.addTool("test_elicitation_sep1330_enums", "Asks the person to choose, in each of the ways to write a choice",
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return ask(request, "Choose", map[string]any{"type": "object", "properties": choices}), nil
		})
	f.addTool("test_streaming_elicitation", "Reports progress and asks the person: the question is the answer, and no request of its own",
		func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := f.reportProgress(ctx, request, 50); err != nil {
				return nil, err
			}
			return askName(request), nil
		})
	f.addTool("test_missing_capability", "Needs a client with a model",
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if capabilitiesOf(ctx).Sampling == nil {
				return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
			}
			return mcp.NewToolResultText("The client has a model."), nil
		})
}

// ask asks with a form and tells what was answered.
func ask(request mcp.CallToolRequest, message string, schema map[string]any) *mcp.CallToolResult {
	const key = "form"
	if answer := server.ElicitationResponse(request.Params.InputResponses, key); answer != nil {
		return mcp.NewToolResultText(fmt.Sprintf("User response: action=%s, content=%v", answer.Action, answer.Content))
	}
	return server.NewInputRequestBuilder("").
		Elicit(key, mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: message, RequestedSchema: schema}).
		ToolResult()
}

// capabilitiesOf are what the client of a request declared with it.
func capabilitiesOf(ctx context.Context) mcp.ClientCapabilities {
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.ClientCapabilities != nil {
		return *info.ClientCapabilities
	}
	return mcp.ClientCapabilities{}
}

// filledIn has a default of each primitive type.
var filledIn = map[string]any{
	"name":     map[string]any{"type": "string", "description": "User name", "default": "John Doe"},
	"age":      map[string]any{"type": "integer", "description": "User age", "default": 30},
	"score":    map[string]any{"type": "number", "description": "User score", "default": 95.5},
	"status":   map[string]any{"type": "string", "description": "User status", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
	"verified": map[string]any{"type": "boolean", "description": "Verification status", "default": true},
}

var (
	options = []string{"option1", "option2", "option3"}
	titled  = []any{
		map[string]any{"const": "value1", "title": "First Option"},
		map[string]any{"const": "value2", "title": "Second Option"},
		map[string]any{"const": "value3", "title": "Third Option"},
	}
	choices = map[string]any{
		"untitledSingle": map[string]any{"type": "string", "enum": options},
		"titledSingle":   map[string]any{"type": "string", "oneOf": titled},
		"legacyEnum": map[string]any{
			"type": "string", "enum": []string{"opt1", "opt2", "opt3"},
			"enumNames": []string{"Option One", "Option Two", "Option Three"},
		},
		"untitledMulti": map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": options}},
		"titledMulti":   map[string]any{"type": "array", "items": map[string]any{"anyOf": titled}},
	}
)

// addInputRequiredTools adds tools that answer with what they need to know, and
// are called again with it.
func (f *fixtures) addInputRequiredTools() {
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

func (f *fixtures) askToConfirm(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
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

func (f *fixtures) askForAll(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
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
func (f *fixtures) askTwice(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
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

// form asks for one field of a JSON type.
func form(message, field, kind string) mcp.ElicitationParams {
	return mcp.ElicitationParams{
		Mode:    mcp.ElicitationModeForm,
		Message: message,
		RequestedSchema: map[string]any{
			"type":       "object",
			"properties": map[string]any{field: map[string]any{"type": kind}},
			"required":   []string{field},
		},
	}
}

// accepted is a field of the form that was asked for under key. It is false for
// a form that was declined, is missing, or has something else in the field.
func accepted[T any](responses mcp.InputResponses, key, field string) (T, bool) {
	var none T
	answer := server.ElicitationResponse(responses, key)
	if answer == nil || answer.Action != mcp.ElicitationResponseActionAccept {
		return none, false
	}
	content, _ := answer.Content.(map[string]any)
	value, ok := content[field].(T)
	return value, ok
}

// sampling asks the client's model for up to maxTokens tokens.
func sampling(prompt string, maxTokens int) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{
		Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(prompt)}},
		MaxTokens: maxTokens,
	}
}

// sampled is what the model wrote when it was asked under key.
func sampled(responses mcp.InputResponses, key string) (string, bool) {
	answer := server.SamplingResponse(responses, key)
	if answer == nil {
		return "", false
	}
	return mcp.GetTextFromContent(answer.Content), true
}

// askName asks the person for a name until there is one.
func askName(request mcp.CallToolRequest) *mcp.CallToolResult {
	const key = "user_name"
	if name, ok := accepted[string](request.Params.InputResponses, key, "name"); ok {
		return mcp.NewToolResultText("Hello, " + name + "!")
	}
	return server.NewInputRequestBuilder("").Elicit(key, form("What is your name?", "name", "string")).ToolResult()
}

var errRequestState = errors.New("the request state is not one that this server gave out for this request")

// requestStates writes and reads what travels through the client from one round
// of a request to the next. It can be read there, and not be altered.
type requestStates struct{ key []byte }

func newRequestStates() requestStates {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	return requestStates{key}
}

// requestState is what is carried. About is the tool, for which alone it counts.
type requestState struct {
	About string `json:"about"`
	Round int    `json:"round"`
	// Name is what was answered in an earlier round.
	Name string `json:"name,omitempty"`
}

func (s requestStates) seal(state requestState) (string, error) {
	plain, err := json.Marshal(state)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(s.mac(plain), plain...)), nil
}

// open fails for everything but what seal wrote about the same tool.
func (s requestStates) open(about, sealed string) (requestState, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(data) < sha256.Size {
		return requestState{}, errRequestState
	}
	mac, plain := data[:sha256.Size], data[sha256.Size:]
	var state requestState
	if !hmac.Equal(mac, s.mac(plain)) || json.Unmarshal(plain, &state) != nil || state.About != about {
		return requestState{}, errRequestState
	}
	return state, nil
}

func (s requestStates) mac(plain []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(plain)
	return mac.Sum(nil)
}
