package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// Questions are requests of the server that wait for the client's answers, in
// protocols before 2026-07-28.
type Questions struct {
	mu     sync.Mutex
	last   int64
	asked  map[string]chan<- *Message // by the id's JSON
	hungUp chan struct{}
	once   sync.Once
}

// NewQuestions returns Questions without any.
func NewQuestions() *Questions {
	return &Questions{asked: map[string]chan<- *Message{}, hungUp: make(chan struct{})}
}

var errHungUp = errors.New("the client disconnected before it answered")

// question is a request of the server on the wire.
type question struct {
	JSONRPC string `json:"jsonrpc"`
	ID      int64  `json:"id"`
	Method  string `json:"method"`
	Params  any    `json:"params,omitempty"`
}

// withdraw cancels a question at the client, so that no dialog stays open whose
// answer would not count.
func withdraw(number int64, cause error) mcp.JSONRPCNotification {
	reason := "the call that asked was cancelled"
	if errors.Is(cause, context.DeadlineExceeded) {
		reason = "the time for an answer has run out"
	}
	n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION}
	n.Method = string(mcp.MethodNotificationCancelled)
	n.Params.AdditionalFields = map[string]any{"requestId": number, "reason": reason}
	return n
}

// Ask sends a request to the client and returns the result of its answer. If ctx
// ends first, the question is withdrawn.
func (q *Questions) Ask(ctx context.Context, send func(any) error, method string, params any) (json.RawMessage, error) {
	answer := make(chan *Message, 1)
	q.mu.Lock()
	q.last++
	number := q.last
	id := strconv.FormatInt(number, 10)
	q.asked[id] = answer
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.asked, id)
		q.mu.Unlock()
	}()

	if err := send(question{JSONRPC: mcp.JSONRPC_VERSION, ID: number, Method: method, Params: params}); err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		return resultOf(m)
	case <-q.hungUp:
	case <-ctx.Done():
	}
	select {
	case m := <-answer:
		// It came right before the end.
		return resultOf(m)
	default:
	}
	select {
	case <-q.hungUp:
		return nil, errHungUp // a client that is gone shows no dialog
	default:
	}
	_ = send(withdraw(number, ctx.Err()))
	return nil, ctx.Err()
}

// AskPerson shows a form to the client's user.
func (q *Questions) AskPerson(ctx context.Context, send func(any) error, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	answer, err := q.Ask(ctx, send, string(mcp.MethodElicitationCreate), request.Params)
	if err != nil {
		return nil, err
	}
	// An answer that two readers might understand differently does not count. One
	// that is not an object fails below.
	if len(answer) > 0 && answer[0] == '{' {
		if _, bad := readObject(answer, answerNames); bad != nil {
			return nil, fmt.Errorf("the client's answer cannot be read: %w", bad)
		}
	}
	var result mcp.ElicitationResult
	if err := json.Unmarshal(answer, &result); err != nil {
		return nil, fmt.Errorf("the client's answer cannot be read: %w", err)
	}
	return &result, nil
}

func resultOf(m *Message) (json.RawMessage, error) {
	if m.Error != nil && string(m.Error) != "null" {
		return nil, errors.New("the client answered the question with an error")
	}
	return m.Result, nil
}

// Resolve passes the client's answer to the call that asked, and reports whether
// one was waiting.
func (q *Questions) Resolve(m *Message) bool {
	q.mu.Lock()
	answer := q.asked[string(m.ID)]
	delete(q.asked, string(m.ID))
	q.mu.Unlock()
	if answer == nil {
		return false
	}
	answer <- m
	return true
}

// Waiting reports whether a question waits for its answer.
func (q *Questions) Waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.asked) > 0
}

// Gone implements tools.Leaving: the client can no longer answer.
func (q *Questions) Gone() <-chan struct{} { return q.hungUp }

// HangUp ends the wait for all answers, which can no longer come.
func (q *Questions) HangUp() { q.once.Do(func() { close(q.hungUp) }) }
