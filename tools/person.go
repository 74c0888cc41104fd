package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Question is what a person is asked before something happens that cannot be
// undone. Every text in it is plain and on one line.
type Question struct {
	// Title asks, such as "Revoke this kenbun token?".
	Title string
	// Facts tell what it is about.
	Facts []Fact
	// Consequence tells what happens after a yes.
	Consequence string
	// Agree labels the button or box that means yes.
	Agree string
	// Unchanged says what does not happen after a no.
	Unchanged string
}

// Fact is one thing that a person should know to decide well.
type Fact struct{ Label, Value string }

// Text is the question in lines.
func (q Question) Text() string {
	var b strings.Builder
	b.WriteString(q.Title + "\n\n")
	for _, fact := range q.Facts {
		fmt.Fprintf(&b, "%s: %s\n", fact.Label, fact.Value)
	}
	b.WriteString("\n" + q.Consequence)
	return b.String()
}

// ErrUnreachable means that a person cannot be asked: there is no browser to
// show a page in.
var ErrUnreachable = errors.New("the person cannot be reached")

// Person reaches the person behind the assistant directly, past client and
// model.
type Person interface {
	// Decide puts a question and waits for the answer, until ctx is done or
	// limit has passed. It returns nil for a yes, ErrDeclined for a no,
	// ErrUnreachable where the person cannot be asked, and
	// context.DeadlineExceeded where no answer came in time.
	Decide(ctx context.Context, question Question, limit time.Duration) error
	// Way is how the person is asked, for the audit log.
	Way() Way
}

// ErrDeclined means that the person said no.
var ErrDeclined = errors.New("the person said no")
