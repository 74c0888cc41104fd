package store

import (
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

const (
	// verifiedRecords bounds how many credentials a node remembers, which are
	// the ones that were used last. A record takes about a kilobyte.
	verifiedRecords = 10_000

	// hearingLasts is how long after a node last read the epoch it believes what
	// it remembers. A change must count on all nodes within a second.
	hearingLasts = 700 * time.Millisecond
)

// cache remembers credentials that were accepted, where asking the
// database is a journey over the network. It answers only while it is known
// that nothing has changed: not while this node itself is changing something,
// and not when changes by other nodes could go unheard. The nil cache remembers
// nothing.
type cache struct {
	mu      sync.Mutex
	records *simplelru.LRU[string, *domain.Record]

	// generation counts how often all was forgotten. What was read before is not
	// taken in afterwards: it may have been read before the change as well.
	generation uint64
	changing   map[*sql.Tx]struct{}

	epoch   int64
	hearing time.Time // until when this node believes what it remembers
}

func newCache() (*cache, error) {
	records, err := simplelru.NewLRU[string, *domain.Record](verifiedRecords, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare to remember credentials: %w", err)
	}
	return &cache{records: records, changing: map[*sql.Tx]struct{}{}}, nil
}

// get returns what is remembered under a digest. If that is nothing, generation
// is what add wants to hear.
func (c *cache) get(digest string) (record *domain.Record, generation uint64) {
	if c == nil {
		return nil, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.changing) > 0 || !time.Now().Before(c.hearing) {
		return nil, c.generation
	}
	record, _ = c.records.Get(digest)
	return record, c.generation
}

// add remembers what was read since get returned generation.
func (c *cache) add(digest string, record *domain.Record, generation uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation == c.generation && len(c.changing) == 0 {
		c.records.Add(digest, record)
	}
}

// hold keeps the cache from answering until release is called for the same
// transaction. It begins before the commit: otherwise one request could read
// the change and a later one still be answered from memory.
func (c *cache) hold(tx *sql.Tx) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changing[tx] = struct{}{}
	c.forget()
}

// release ends what hold began, if it did.
func (c *cache) release(tx *sql.Tx) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, held := c.changing[tx]; held {
		delete(c.changing, tx)
		c.forget()
	}
}

// heardOfChange forgets everything.
func (c *cache) heardOfChange() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
}

// heardEpoch lets the cache answer for some time after the epoch was read, the
// reading of which began at asOf. If it is a new one, or if changes may have
// gone unheard until now, it first forgets everything.
func (c *cache) heardEpoch(epoch int64, asOf time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch || !asOf.Before(c.hearing) {
		c.forget()
	}
	c.epoch, c.hearing = epoch, asOf.Add(hearingLasts)
}

// deaf keeps the cache from answering until an epoch is heard again.
func (c *cache) deaf() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hearing = time.Time{}
	c.forget()
}

func (c *cache) forget() {
	c.generation++
	c.records.Purge()
}
