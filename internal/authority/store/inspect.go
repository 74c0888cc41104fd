package store

import (
	"database/sql"
	"log/slog"
	"time"
)

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
