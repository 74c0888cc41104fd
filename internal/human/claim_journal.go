package human

import (
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"sync"
)

// onTheirWay is the journal's entries for claims that wait. Its zero value is
// ready.
type onTheirWay struct {
	mu      sync.Mutex
	entries map[string]tokens.JournalEntry // by claim id
}

func (o *onTheirWay) add(id string, entry tokens.JournalEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.entries == nil {
		o.entries = map[string]tokens.JournalEntry{}
	}
	o.entries[id] = entry
}

func (o *onTheirWay) take(id string) tokens.JournalEntry {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entries[id]
	delete(o.entries, id)
	return entry
}

// done tells the journal that somebody holds a claim's token, or nobody can.
func (c *Claims) done(id string) {
	entry := c.onTheirWay.take(id)
	if entry == nil {
		return
	}
	if err := entry.Done(); err != nil {
		c.log.Error("the journal of tokens on their way could not be written", "claim", id, "cause", err)
	}
}
