//go:build linux

package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
)

var claimID = regexp.MustCompile(`claim_[A-Z2-7]{26}`)

// user calls tools through nginx with protocol 2026-07-28.
type user struct {
	client *http.Client
	pat    string
}

// failure is an answer that is none of a tool.
type failure struct {
	status int
	body   string
}

func (f *failure) Error() string { return fmt.Sprintf("%d: %s", f.status, f.body) }

// call calls a tool and returns the text of its answer.
func (u user) call(tool, arguments string) (string, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, arguments)
	request, err := http.NewRequest(http.MethodPost, "https://"+host+"/mcp", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool,
	} {
		request.Header.Set(name, value)
	}
	content, err := u.send(request)
	if err != nil {
		return "", err
	}
	// A stream's answer is on its last line with data.
	if lines := strings.Split(strings.TrimSpace(string(content)), "\ndata: "); len(lines) > 1 {
		content = []byte(lines[len(lines)-1])
	}
	var answer struct {
		Result struct {
			IsError bool
			Content []struct{ Text string }
		}
	}
	if err := json.Unmarshal(content, &answer); err != nil || len(answer.Result.Content) == 0 {
		return "", &failure{http.StatusOK, string(content)}
	}
	if answer.Result.IsError {
		return "", &failure{http.StatusOK, answer.Result.Content[0].Text}
	}
	return answer.Result.Content[0].Text, nil
}

// fetch fetches a claimed token, and returns its value.
func (u user) fetch(id string) (string, error) {
	keys, err := claimkey.Derive(client.NewSecret(u.pat), id)
	if err != nil {
		return "", err
	}
	proof, err := json.Marshal(claimkey.Request{Version: claimkey.Version, Proof: claimkey.Prove(keys.Proof, id, host)})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequest(http.MethodPost, "https://"+host+"/claim/"+id, bytes.NewReader(proof))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	content, err := u.do(request)
	if err != nil {
		return "", err
	}
	var answer claimkey.Answer
	if err := json.Unmarshal(content, &answer); err != nil {
		return "", fmt.Errorf("the answer holds no token: %w", err)
	}
	payload, err := keys.Open(answer.Sealed)
	if err != nil {
		return "", err
	}
	return payload.Token, nil
}

func (u user) send(request *http.Request) ([]byte, error) {
	request.Header.Set("Authorization", "Bearer "+u.pat)
	return u.do(request)
}

func (u user) do(request *http.Request) ([]byte, error) {
	response, err := u.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, &failure{response.StatusCode, string(content)}
	}
	return content, nil
}
