package usage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// memory is a store that keeps what it is given.
type memory struct {
	mu   sync.Mutex
	uses []domain.Use
}

func (m *memory) StoreLastUse(context.Context, string, time.Time, time.Duration, *domain.Rehash) error {
	return nil
}

func (m *memory) StoreUses(_ context.Context, uses []domain.Use, _ []string, _ int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses = append(m.uses, uses...)
	return nil
}

func (m *memory) RemoveUses(context.Context, time.Time) error { return nil }

func (m *memory) MayTryAgain(error) bool { return false }

// A token that is used more often between two batches than uses are kept takes no
// more memory than those that are kept.
func TestS7_NoMoreUsesWaitThanAreKept(t *testing.T) {
	stored := &memory{}
	w, err := NewLog(stored, time.Hour, 20, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		w.Record(domain.Use{TokenID: "pat_1", RequestID: fmt.Sprint(i)})
		w.mu.Lock()
		waiting := w.waiting
		w.mu.Unlock()
		if waiting > 20 {
			t.Fatalf("%d wait", waiting)
		}
	}
	w.Stop()
	last := map[string]bool{}
	for _, use := range stored.uses {
		last[use.RequestID] = true
	}
	for i := 30; i < 50; i++ {
		if !last[fmt.Sprint(i)] {
			t.Errorf("use %d is lost", i)
		}
	}
}
