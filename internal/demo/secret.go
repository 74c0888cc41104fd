package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// pageWait is how long the demonstration waits for a click, as a flag says it.
const pageWait = "60s"

// road is how the new token reaches Ada.
type road struct {
	// page tells that it is shown in her browser; otherwise it goes into folder.
	page   bool
	folder string
}

func (r road) flags() []string {
	if r.page {
		return []string{"--deliver", "page", "--deliver-wait", pageWait}
	}
	return []string{"--deliver", "file", "--deliver-dir", r.folder}
}

// create has a token made, and looks where its value went and where it did not.
func (a *assistant) create(ctx context.Context, s *show) error {
	if a.road.page {
		s.aside("A page opens in your browser: click there to see the token, within %s.", pageWait)
	}
	answer, err := a.call(ctx, "create_token", map[string]any{"name": "Nightly import - build server", "expires": "30d"})
	if a.road.page && errors.Is(err, errToolFailed) {
		s.aside("Nobody asked for it there, so that no token was made: none is left that nobody holds.")
		return nil
	}
	if err != nil {
		return err
	}
	received := a.received()
	if regexp.MustCompile(regexp.QuoteMeta(answer.Prefix) + `[0-9A-Za-z]`).MatchString(received) {
		return errors.New("the token's value reached the assistant")
	}
	if a.road.page {
		s.aside("Where did the secret go? Onto the page, once, for you alone.")
	} else if err := lookIntoFile(answer, received, s); err != nil {
		return err
	}
	s.aside("The assistant has received %d bytes so far. The value is not among them.", len(received))
	return nil
}

// lookIntoFile reads the file as Ada would.
func lookIntoFile(answer *toolAnswer, received string, s *show) error {
	path := answer.Delivery.Where
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the token is not where the answer says: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	value := strings.TrimSpace(string(content))
	if len(value) < 24 || !strings.HasPrefix(value, answer.Prefix) {
		return fmt.Errorf("the file does not hold the token %s", answer.Prefix)
	}
	if strings.Contains(received, value[len(answer.Prefix):]) {
		return errors.New("the token's value reached the assistant")
	}
	s.aside("Where did the secret go? Into the file, %s, for Ada alone.", info.Mode().Perm())
	return nil
}
