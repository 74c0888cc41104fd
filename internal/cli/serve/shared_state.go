package serve

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// endingTimeout bounds how long tokens that nobody can fetch any more are tried
// to be revoked at the end.
const endingTimeout = 10 * time.Second

// stateFlags say where replicas of a server keep what they share.
type stateFlags struct {
	address       string
	keyFile       string
	claimLifetime time.Duration
}

func (f *stateFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.State)()
	flags := cmd.Flags()
	flags.StringVar(&f.address, "state", state.InMemory, `where shared state is kept: "memory", or redis://host:port/database for several replicas`)
	flags.StringVar(&f.keyFile, "state-key-file", "", "file with the key that encrypts shared state, created if missing (required for Redis)")
	flags.DurationVar(&f.claimLifetime, "claim-lifetime", claims.MaxLifetime, "how long a new token waits to be claimed before it is revoked, at most 10m")
}

// sharedState is what the replicas of a server share. Nil: there is nobody to
// share with.
type sharedState struct {
	store state.Store
	key   *state.Key
	// claims is nil where tokens are not delivered by this road.
	claims *claims.Claims
	log    *slog.Logger // of claims
}

func (f *stateFlags) open(ctx context.Context, caFile string) (*sharedState, error) {
	if f.claimLifetime <= 0 || f.claimLifetime > claims.MaxLifetime {
		return nil, command.Usagef("--claim-lifetime cannot be %s; use up to 10m", f.claimLifetime)
	}
	key := state.NewKey()
	if f.keyFile != "" {
		var err error
		if key, err = state.LoadKey(f.keyFile); err != nil {
			return nil, err
		}
	} else if f.address != state.InMemory {
		return nil, command.Usagef("--state in Redis is encrypted under a key that all replicas share: name its file with --state-key-file")
	}
	store, err := state.Open(ctx, state.Config{Address: f.address, Key: key, CAFile: caFile})
	switch {
	case errors.Is(err, state.ErrBadAddress):
		return nil, command.Usagef("--state (KENBUN_STATE): %w", err)
	case err != nil:
		return nil, err
	}
	return &sharedState{store: store, key: key}, nil
}

// deliverByClaim has new tokens wait for their users in the shared state.
func (s *sharedState) deliverByClaim(api *client.Client, lifetime time.Duration, auditor audit.Log, w *watch, logger *slog.Logger) error {
	claims, err := claims.New(claims.Config{
		Store: s.store, Key: s.key.Derive("claims"), API: api, Lifetime: lifetime, Auditor: auditor, Logger: logger, Observe: w.claim,
	})
	if err != nil {
		return err
	}
	s.claims, s.log = claims, logger
	return nil
}

// onceAmongReplicas reports whether an answer comes for the first time. Nil: the
// process can tell by itself.
func (s *sharedState) onceAmongReplicas() approval.Once {
	if s == nil || !s.store.Shared() {
		return nil
	}
	return func(ctx context.Context, nonce string, keep time.Duration) (bool, error) {
		return state.Once(ctx, s.store, "decision:"+nonce, keep)
	}
}

// counts keeps what all replicas count together: questions and changes. Nil: each
// process counts its own.
func (s *sharedState) counts() approval.Store {
	if s == nil || !s.store.Shared() {
		return nil
	}
	return s.store
}

// decisionKey seals questions that are with the client. Nil: a random key, which
// ends with the process, as does its memory of the answers that were used.
func (s *sharedState) decisionKey() []byte {
	if s == nil || !s.store.Shared() {
		return nil
	}
	return s.key.Derive("decisions")
}

// buckets are those that all replicas count their requests in. Nil: there is one
// process, which counts by itself.
func (s *sharedState) buckets() ratelimit.Store {
	if !s.store.Shared() {
		return nil
	}
	return s.store
}

// sweep clears claims away that nobody fetches, until the function that it
// returns is called. That one also sees to what nobody can fetch any more.
func (s *sharedState) sweep(ctx context.Context) (end func() error) {
	if s.claims == nil {
		return func() error { return nil }
	}
	if err := s.claims.Join(ctx); err != nil {
		s.log.Warn("other replicas cannot revoke what this one makes, if it is killed", "cause", err) // it is tried again
	}
	sweeping, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.claims.Sweep(sweeping)
	}()
	return func() error {
		stop()
		<-ended
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endingTimeout)
		defer cancel()
		return s.claims.RevokeWaiting(ending)
	}
}

func (s *sharedState) close() error { return s.store.Close() }
