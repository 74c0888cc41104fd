package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// The epoch is also polled, since poolers can lose notifications.
	epochInterval = 250 * time.Millisecond
	epochTimeout  = 400 * time.Millisecond

	// Delay before a node listens again.
	listenPause    = 50 * time.Millisecond
	listenPauseMax = 2 * time.Second
)

// nodeWatch listens for changes by other nodes on a connection of its own, and
// invalidates the cache. The cache is suspended while it cannot.
type nodeWatch struct {
	config *pgx.ConnConfig
	cache  *cache
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}
}

func watchNodes(config *pgx.ConnConfig, cache *cache, log *slog.Logger) *nodeWatch {
	ctx, stop := context.WithCancel(context.Background())
	w := &nodeWatch{config: config, cache: cache, log: log, stop: stop, done: make(chan struct{})}
	go w.run(ctx)
	return w
}

// Close ends the watch and its connection.
func (w *nodeWatch) Close() {
	w.stop()
	<-w.done
}

func (w *nodeWatch) run(ctx context.Context) {
	defer close(w.done)
	pause := listenPause
	for lost := false; ; {
		err := w.listen(ctx, func() {
			if lost {
				w.log.Info("changes by other nodes are heard again")
			}
			lost, pause = false, listenPause
		})
		w.cache.deaf()
		if ctx.Err() != nil {
			return
		}
		if !lost {
			w.log.Warn("changes by other nodes cannot be heard, so each request is verified in the database", slog.Any("error", err))
		}
		lost = true
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, listenPauseMax)
	}
}

// listen handles changes until it fails, and calls hearing when it knows that it works.
func (w *nodeWatch) listen(ctx context.Context, hearing func()) (err error) {
	conn, err := w.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), epochTimeout)
		defer cancel()
		err = errors.Join(err, conn.Close(closing))
	}()
	for {
		if err := w.readEpoch(ctx, conn); err != nil {
			return err
		}
		hearing()
		waiting, cancel := context.WithTimeout(ctx, epochInterval)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			w.cache.heardOfChange()
		case ctx.Err() != nil || !pgconn.Timeout(err):
			return fmt.Errorf("wait for changes: %w", err)
		}
	}
}

func (w *nodeWatch) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, postgresConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, w.config)
	if err != nil {
		return nil, fmt.Errorf("reach the PostgreSQL database: %w", err)
	}
	if _, err := conn.Exec(ctx, "LISTEN "+verificationChannel); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for changes: %w", err), conn.Close(ctx))
	}
	return conn, nil
}

func (w *nodeWatch) readEpoch(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, epochTimeout)
	defer cancel()
	asOf := time.Now()
	var epoch int64
	if err := conn.QueryRow(ctx, `SELECT epoch FROM verification_epoch WHERE id = 1`).Scan(&epoch); err != nil {
		return fmt.Errorf("read the epoch of verification: %w", err)
	}
	w.cache.heardEpoch(epoch, asOf)
	return nil
}

// verificationChannel is where PostgreSQL notifies nodes of a new epoch.
const verificationChannel = "kenbun_verification"

// bumpEpoch must be part of every change that can make an accepted credential invalid or
// weaker. It comes last in its transaction, since it serializes such changes.
func (db *Store) bumpEpoch(ctx context.Context, tx *sql.Tx) error {
	db.cache.hold(tx)
	if _, err := tx.ExecContext(ctx, `UPDATE verification_epoch SET epoch = epoch + 1 WHERE id = 1`); err != nil {
		return fmt.Errorf("begin a new epoch of verification: %w", err)
	}
	if db.announce == "" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, db.announce); err != nil {
		return fmt.Errorf("announce a new epoch of verification: %w", err)
	}
	return nil
}
