package store

import (
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

const (
	// verifiedRecords bounds the cache, about a kilobyte a credential.
	verifiedRecords = 10_000

	// hearingLasts is how long the cache is trusted after the epoch was last read. A
	// change must count on all nodes within a second.
	hearingLasts = 700 * time.Millisecond
)

// cache remembers accepted credentials, where the database is across a network. It
// answers only while nothing can have changed: not during a change of this node's, and
// not while changes of other nodes could go unheard. A nil cache remembers nothing.
type cache struct {
	mu      sync.Mutex
	records *simplelru.LRU[string, *domain.Record]

	// generation counts how often all was forgotten. Records read before that are not
	// added any more.
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

// get returns the record under a digest, and the generation for add if there is none.
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

// add remembers a record that was read since get returned generation.
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

// hold suspends the cache until release is called for the same transaction. It must come
// before the commit: otherwise a later request could get an older answer.
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

// heardEpoch trusts the cache for some time after asOf, when reading the epoch began. It
// forgets everything if the epoch is new, or if changes may have gone unheard.
func (c *cache) heardEpoch(epoch int64, asOf time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch || !asOf.Before(c.hearing) {
		c.forget()
	}
	c.epoch, c.hearing = epoch, asOf.Add(hearingLasts)
}

// deaf suspends the cache until the next epoch is heard.
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

// What follows is for tests that look into a store, or damage it.

// Pools returns the connections for reading and for changes.
func (db *Store) Pools() (read, write *sql.DB) { return db.read, db.write }

// AnswersFromCache reports whether the store knows that cached credentials still hold.
func (db *Store) AnswersFromCache() bool {
	db.cache.mu.Lock()
	defer db.cache.mu.Unlock()
	return time.Now().Before(db.cache.hearing)
}

// CacheSize is how many credentials are cached.
func (db *Store) CacheSize() int {
	db.cache.mu.Lock()
	defer db.cache.mu.Unlock()
	return db.cache.records.Len()
}

// ListenAt has the node hear of the changes of others through another address.
func (db *Store) ListenAt(at Location, log *slog.Logger) {
	db.watch.Close()
	db.watch = watchNodes(at.postgres, db.cache, log)
}
