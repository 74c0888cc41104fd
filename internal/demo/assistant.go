package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// assistant is an MCP client with the server as its child process. It keeps all
// that it receives.
type assistant struct {
	client  *client.Client
	command *exec.Cmd
	log     *transcript
	stderr  *bytes.Buffer
	show    *show
	method  deliveryMethod
}

// transcript is every byte that came from the server.
type transcript struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.data.Write(p)
}

func (a *assistant) received() string {
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	return a.log.data.String()
}

func connect(ctx context.Context, executable string, api *api, method deliveryMethod, s *show) (*assistant, error) {
	a := &assistant{log: &transcript{}, stderr: &bytes.Buffer{}, show: s, method: method}
	a.command = exec.CommandContext(ctx, executable, append([]string{"stdio", "--journal-dir", "none"}, method.flags()...)...)
	a.command.Env = append(environmentWithoutSettings(), "KENBUN_API_URL="+api.url, "KENBUN_PAT="+api.pat)
	a.command.Stderr = a.stderr
	in, err := a.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := a.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := a.command.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	pipe := transport.NewIO(io.TeeReader(out, a.log), in, io.NopCloser(&bytes.Buffer{}))
	a.client = client.NewClient(pipe, client.WithElicitationHandler(person{s}))
	if err := a.client.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the server: %w", err), a.close())
	}
	hello, err := a.client.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: mcp.LATEST_PROTOCOL_VERSION,
		ClientInfo:      mcp.Implementation{Name: "kenbun-mcp-demo", Version: "1"},
	}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("greet the server: %w", err), a.close())
	}
	s.aside("Protocol %s.", hello.ProtocolVersion)
	return a, nil
}

// environmentWithoutSettings keeps what the user set for the real kenbun out of
// the demonstration.
func environmentWithoutSettings() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "KENBUN_")
	})
}

// close ends the server by ending its input, as assistants do.
func (a *assistant) close() error {
	err := a.client.Close()
	if waited := a.command.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("the server ended with %w: %s", waited, a.stderr))
	}
	return err
}

// toolAnswer is as much of the tools' structured answers as the conversation goes on with.
type toolAnswer struct {
	Prefix   string `json:"prefix"`
	Delivery struct {
		Where string `json:"where"`
	} `json:"delivery"`
	Tokens []struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"tokens"`
}

func (t *toolAnswer) tokenNamed(name string) (string, error) {
	for _, token := range t.Tokens {
		if token.Name == name {
			return token.ID, nil
		}
	}
	return "", fmt.Errorf("the list does not show the token %q", name)
}

func (t *toolAnswer) statusOf(id string) string {
	for _, token := range t.Tokens {
		if token.ID == id {
			return token.Status
		}
	}
	return "not there"
}

var errToolFailed = errors.New("answered with an error")

// call calls a tool and shows the call and its answer.
func (a *assistant) call(ctx context.Context, tool string, arguments map[string]any) (*toolAnswer, error) {
	a.show.call(tool, arguments)
	request := mcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = tool, arguments
	result, err := a.client.CallTool(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", tool, err)
	}
	for _, content := range result.Content {
		if text, ok := content.(mcp.TextContent); ok {
			a.show.answer(text.Text)
		}
	}
	if result.IsError {
		return nil, fmt.Errorf("%s %w", tool, errToolFailed)
	}
	data, err := json.Marshal(result.StructuredContent)
	if err != nil {
		return nil, err
	}
	var answer toolAnswer
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", tool, err)
	}
	return &answer, nil
}

// person is Ada, who is asked by her client and not by the model.
type person struct{ show *show }

func (p person) Elicit(_ context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	p.show.question(request.Params.Message)
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{
		Action:  mcp.ElicitationResponseActionAccept,
		Content: map[string]any{"approve": true},
	}}, nil
}

// show prints the conversation.
type show struct {
	out    io.Writer
	style  terminal.Style
	steps  int
	failed error
}

func (s *show) line(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, format+"\n", args...); err != nil && s.failed == nil {
		s.failed = err
	}
}

func (s *show) title(text string) { s.line("\n%s", s.style.Bold(text)) }

func (s *show) aside(format string, args ...any) {
	s.line("   %s", s.style.Dim(fmt.Sprintf(format, args...)))
}

func (s *show) step(format string, args ...any) {
	s.steps++
	s.line("\n%s", s.style.Bold(fmt.Sprintf("%d. "+format, append([]any{s.steps}, args...)...)))
}

func (s *show) call(tool string, arguments map[string]any) {
	shown := "{}"
	if data, err := json.Marshal(arguments); err == nil && len(arguments) > 0 {
		shown = string(data)
	}
	s.line("   assistant calls %s %s", s.style.Good(tool), shown)
}

func (s *show) answer(text string) {
	for _, line := range strings.Split(text, "\n") {
		s.line("     %s", line)
	}
}

func (s *show) question(text string) {
	s.line("   %s", s.style.Warn("the client asks Ada, where the model cannot answer:"))
	for _, line := range strings.Split(text, "\n") {
		s.line("   %s", s.style.Warn("| ")+line)
	}
	s.line("   %s", s.style.Warn("Ada ticks the box: yes."))
}
