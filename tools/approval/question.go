package approval

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools/audit"
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

// Fact is one thing that a user should know to decide well.
type Fact struct {
	Label, Value string
	// Outside means that Value holds text that somebody else wrote, such as a name.
	Outside bool
}

// NameFact states a name, in quotation marks.
func NameFact(label, name string) Fact {
	return Fact{Label: label, Value: plaintext.Quote(name), Outside: true}
}

// Text returns the question in lines, for a place that shows text as it is.
func (q Question) Text() string { return q.text(func(f Fact) string { return f.Value }) }

// markdown returns the question in lines, for a client that may render Markdown:
// text that somebody else wrote is in code spans, where nothing is rendered.
func (q Question) markdown() string {
	return q.text(func(f Fact) string {
		if f.Outside {
			return codeSpan(f.Value)
		}
		return f.Value
	})
}

func (q Question) text(value func(Fact) string) string {
	var b strings.Builder
	b.WriteString(q.Title + "\n\n")
	for _, fact := range q.Facts {
		fmt.Fprintf(&b, "%s: %s\n", fact.Label, value(fact))
	}
	b.WriteString("\n" + q.Consequence)
	return b.String()
}

// codeSpan returns s as a code span. A backtick becomes an apostrophe: renderers
// do not agree on how one can stand within a span.
func codeSpan(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

// ErrUnreachable means that a person cannot be asked: there is no browser to
// show a page in.
var ErrUnreachable = errors.New("the user cannot be reached")

// Method asks the user behind the assistant directly, past client and
// model.
type Method interface {
	// Decide puts a question and waits for the answer, until ctx is done or
	// limit has passed. It returns nil for a yes, ErrDeclined for a no,
	// ErrUnreachable where the person cannot be asked, and
	// context.DeadlineExceeded where no answer came in time.
	Decide(ctx context.Context, question Question, limit time.Duration) error
	// Way is how the person is asked, for the audit log.
	Way() audit.Way
}

// ErrDeclined means that the user said no.
var ErrDeclined = errors.New("the user said no")
