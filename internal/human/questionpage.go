package human

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

// PagePerson asks the person on a page that their browser opens.
type PagePerson struct {
	pages *Pages
}

// NewPagePerson asks on pages.
func NewPagePerson(pages *Pages) *PagePerson { return &PagePerson{pages: pages} }

// Decide implements tools.Person. A yes is a click on the button that says so;
// nothing else is one. A page that the program closes while it waits counts as
// a person who cannot be reached.
func (p *PagePerson) Decide(ctx context.Context, question tools.Question, limit time.Duration) error {
	if p.pages.browser == nil {
		return fmt.Errorf("%w: no browser can be opened here", tools.ErrUnreachable)
	}
	page, err := p.pages.open(&questionContent{question: question}, limit)
	if err != nil {
		return fmt.Errorf("%w: %w", tools.ErrUnreachable, err)
	}
	if err := p.pages.show(ctx, page); err != nil {
		page.end(fmt.Errorf("%w: %w", tools.ErrUnreachable, err))
	}
	err = page.wait(ctx)
	if errors.Is(err, errPagesClosed) || errors.Is(err, errPageFailed) {
		return fmt.Errorf("%w: %w", tools.ErrUnreachable, err)
	}
	return err
}

// Way implements tools.Person.
func (*PagePerson) Way() tools.Way { return tools.WayPage }

// questionContent is a question on its page.
type questionContent struct {
	question tools.Question
}

func (q *questionContent) view() view {
	return view{template: "question", status: http.StatusOK, title: q.question.Title, data: q.question}
}

func (q *questionContent) act(_ context.Context, form url.Values) reply {
	switch form.Get("choice") {
	case "agree":
		return reply{
			view: newNotice(http.StatusOK, "You agreed", "good",
				"“"+q.question.Agree+"” is being done now; your assistant tells you how it went.",
				"You can close this tab."),
			over: true,
		}
	case "leave":
		return reply{
			view: newNotice(http.StatusOK, "You said no", "",
				"So "+q.question.Unchanged+". Your assistant is told.",
				"You can close this tab."),
			over: true, err: tools.ErrDeclined,
		}
	default:
		return reply{view: noticeOfBadForm(nil)}
	}
}
