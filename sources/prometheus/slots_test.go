package prometheus

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// Where questions wait, the ones worth most go first, whenever they came; among equals the first that came.
func TestSlotsGoByTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if err := s.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		ask := func(ctx context.Context, name string, at turn) {
			wg.Go(func() {
				if err := s.acquire(inTurn(ctx, at)); err != nil {
					return
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				s.release()
			})
			synctest.Wait()
		}
		gone, cancel := context.WithCancel(t.Context())
		ask(t.Context(), "a reference", turnOptional)
		ask(t.Context(), "the rest", 3)
		ask(gone, "given up", 0)
		ask(t.Context(), "signals", 0)
		ask(t.Context(), "more signals", 0)
		ask(t.Context(), "symptom", turnFirst)
		cancel()
		synctest.Wait()
		s.release()
		wg.Wait()
		want := []string{"symptom", "signals", "more signals", "the rest", "a reference"}
		if !slices.Equal(order, want) {
			t.Errorf("want %v, got %v", want, order)
		}
		if s.free != 1 {
			t.Errorf("want the slot back, got %d free", s.free)
		}
	})
}
