package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/webui"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// Person asks the user in one tab of their browser: each page links to the other questions.
type Person struct {
	pages *Server

	mu      sync.Mutex
	waiting []*page // in the order in which they were asked
}

// NewPerson asks on pages.
func NewPerson(pages *Server) *Person { return &Person{pages: pages} }

// Decide implements approval.Method. Only a click on the button that says so is a yes. A page
// closed by the program counts as a user who cannot be reached.
//
// The browser is opened for the first question. Others are linked on the open page, and on the
// answer to it.
func (p *Person) Decide(ctx context.Context, question approval.Question, limit time.Duration) error {
	if p.pages.browser == nil {
		return fmt.Errorf("%w: no browser can be opened here", approval.ErrUnreachable)
	}
	content := &questionContent{question: question, person: p}
	page, err := p.pages.open(content, limit)
	if err != nil {
		return fmt.Errorf("%w: %w", approval.ErrUnreachable, err)
	}
	if p.add(page) {
		p.show(ctx, page)
	}
	err = page.wait(ctx)
	next := p.remove(page)
	if next != nil && err != nil && !errors.Is(err, approval.ErrDeclined) && !errors.Is(err, errClosed) {
		// Nobody clicked, so no answer links to the next question.
		p.show(context.WithoutCancel(ctx), next)
	}
	if errors.Is(err, errClosed) || errors.Is(err, errPageFailed) {
		return fmt.Errorf("%w: %w", approval.ErrUnreachable, err)
	}
	return err
}

// show starts the browser for a page.
func (p *Person) show(ctx context.Context, page *page) {
	if err := p.pages.show(ctx, page); err != nil {
		page.end(fmt.Errorf("%w: %w", approval.ErrUnreachable, err))
	}
}

// add adds a waiting page, and reports whether it is the only one.
func (p *Person) add(page *page) (only bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, page)
	return len(p.waiting) == 1
}

// remove removes a waiting page, and returns the first one left.
func (p *Person) remove(gone *page) (next *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(page *page) bool { return page == gone })
	if len(p.waiting) == 0 {
		return nil
	}
	return p.waiting[0]
}

// others returns the questions that wait beside own.
func (p *Person) others(own *questionContent) []waitingQuestion {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	waiting := slices.Clone(p.waiting)
	p.mu.Unlock()
	var others []waitingQuestion
	for _, page := range waiting {
		if other := page.asks; other != nil && other != own {
			others = append(others, waitingQuestion{Text: other.question.Agree + "?", Path: page.path})
		}
	}
	return others
}

// waitingQuestion is a link to a question.
type waitingQuestion struct{ Text, Path string }

// Way implements approval.Method.
func (*Person) Way() audit.Way { return audit.WayPage }

// questionContent is a question on its page.
type questionContent struct {
	question approval.Question
	// person has the other questions. Nil: none.
	person *Person
}

type questionView struct {
	approval.Question
	Waiting []waitingQuestion
}

func (q *questionContent) view() webui.Page {
	return webui.Page{Template: "question", Status: http.StatusOK, Title: q.question.Title, Data: questionView{q.question, q.person.others(q)}}
}

func (q *questionContent) act(_ context.Context, form url.Values) reply {
	switch form.Get("choice") {
	case "agree":
		return reply{
			view: q.withOthers(newNotice(http.StatusOK, "You agreed", "good",
				"“"+q.question.Agree+"” is being done now. Your assistant will tell you how it went.",
				"You can close this tab.")),
			over: true,
		}
	case "leave":
		return reply{
			view: q.withOthers(newNotice(http.StatusOK, "You said no", "",
				"So "+q.question.Unchanged+". Your assistant will be told.",
				"You can close this tab.")),
			over: true, err: approval.ErrDeclined,
		}
	default:
		return reply{view: noticeOfBadForm(nil)}
	}
}

// withOthers adds links to the other questions.
func (q *questionContent) withOthers(v webui.Page) webui.Page {
	if data, ok := v.Data.(notice); ok {
		if data.Waiting = q.person.others(q); len(data.Waiting) > 0 {
			data.Lines = data.Lines[:len(data.Lines)-1]
		}
		v.Data = data
	}
	return v
}
