package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// questions are requests of the server that wait for the client's answers, as
// protocols before 2026-07-28 have them.
type questions struct {
	mu     sync.Mutex
	last   int64
	asked  map[string]chan<- *message // by the id's JSON
	hungUp chan struct{}
	once   sync.Once
}

func newQuestions() *questions {
	return &questions{asked: map[string]chan<- *message{}, hungUp: make(chan struct{})}
}

var errHungUp = errors.New("the client closed its end before it answered")

// question is a request of the server as it goes over the wire.
type question struct {
	JSONRPC string `json:"jsonrpc"`
	ID      int64  `json:"id"`
	Method  string `json:"method"`
	Params  any    `json:"params,omitempty"`
}

// withdraw tells the client that nobody waits for the answer to a question any
// more, so that no dialog stays open whose answer counts for nothing.
func withdraw(number int64, cause error) mcp.JSONRPCNotification {
	reason := "the call that asked was cancelled"
	if errors.Is(cause, context.DeadlineExceeded) {
		reason = "the time for an answer is over"
	}
	n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION}
	n.Method = string(mcp.MethodNotificationCancelled)
	n.Params.AdditionalFields = map[string]any{"requestId": number, "reason": reason}
	return n
}

// ask sends a request to the client and returns the result of its answer. A
// question that ctx ends is taken back.
func (q *questions) ask(ctx context.Context, send func(any) error, method string, params any) (json.RawMessage, error) {
	answer := make(chan *message, 1)
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

// askPerson puts a form before the client's user.
func (q *questions) askPerson(ctx context.Context, send func(any) error, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	answer, err := q.ask(ctx, send, string(mcp.MethodElicitationCreate), request.Params)
	if err != nil {
		return nil, err
	}
	// An answer that two readers might understand differently is none. What is no
	// object is told apart below.
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

func resultOf(m *message) (json.RawMessage, error) {
	if m.Error != nil && string(m.Error) != "null" {
		return nil, errors.New("the client answered the question with an error")
	}
	return m.Result, nil
}

// resolve hands the client's answer to the call that asked, and reports whether
// one waited for it.
func (q *questions) resolve(m *message) bool {
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

// waiting reports whether a question waits for its answer.
func (q *questions) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.asked) > 0
}

// Gone implements tools.Leaving: the client can no longer answer.
func (q *questions) Gone() <-chan struct{} { return q.hungUp }

// hangUp ends the wait for every answer that can no longer come.
func (q *questions) hangUp() { q.once.Do(func() { close(q.hungUp) }) }
