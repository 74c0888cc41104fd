package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

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
