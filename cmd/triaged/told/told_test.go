package told

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

type memory map[string][]byte

func (m memory) State(_ context.Context, key string) ([]byte, error) { return m[key], nil }

func (m memory) SetState(_ context.Context, key string, value []byte) error {
	m[key] = value
	return nil
}

var t0 = time.Date(2026, 5, 12, 3, 0, 0, 0, time.UTC)

func tracker(t *testing.T, m memory) *Tracker {
	t.Helper()
	tr, err := New(t.Context(), m, func(s string) bool { return s == "prom" }, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func rolled(native, service string, start time.Time) triage.Change {
	return triage.Change{ID: triage.ChangeID("prom:" + native), Kind: triage.KindDeploy, Scope: triage.Scope{Service: service}, StartedAt: start}
}

func deploy(id, service string) triage.Change {
	return triage.Change{ID: triage.ChangeID(id), Kind: triage.KindDeploy, Scope: triage.Scope{Service: service}}
}

// What metrics show and others tell of is joined by service and time, in either order; what is told late counts by its lateness.
func TestToldCountsWhatOthersTellOf(t *testing.T) {
	m := memory{}
	tr := tracker(t, m)
	at := t0.Add(-24 * time.Hour)
	tr.Heard("ci", deploy("d1", "checkout"), at.Add(-2*time.Minute)) // told before it was seen
	tr.Heard("prom", rolled("version/x/checkout/v2@1", "checkout", at), at.Add(time.Minute))
	tr.Heard("prom", rolled("replicaset//shop/pricing-1", "pricing", at), at.Add(time.Minute))
	tr.Heard("ci", deploy("d2", "pricing"), at.Add(10*time.Minute)) // when it was over
	tr.Heard("ci", deploy("d2", "pricing"), at.Add(50*time.Minute)) // once more: it was told before
	tr.Heard("prom", rolled("replicaset//shop/cart-1", "cart", at), at.Add(time.Minute))
	tr.Heard("ci", deploy("d3", "cart"), at.Add(3*time.Hour)) // another deploy of it
	tr.Heard("ci", triage.Change{ID: "f1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "cart"}}, at)

	tr.Heard("prom", rolled("reload//x@1", "prometheus", at), at.Add(time.Minute))                                  // no new code
	tr.Heard("prom", rolled("replicaset//shop/old-1", "old", at), at.Add(2*time.Hour))                              // seen after a gap of ours
	tr.Heard("prom", rolled("replicaset//shop/new-1", "new", t0.Add(-time.Minute)), t0)                             // may still be told of
	tr.Heard("prom", rolled("replicaset//shop/gone-1", "gone", t0.Add(-20*24*time.Hour)), t0.Add(-20*24*time.Hour)) // before the two weeks
	want := triage.Told{Seen: 3, Told: 2, MedianLagS: 0, P90LagS: 0}
	got := tr.Told(t0)
	if got == nil || got.Seen != want.Seen || got.Told != want.Told {
		t.Fatalf("want %+v, got %+v", want, got)
	}
	if lag := tr.rec.Rollouts[1].LagS; lag != 600 {
		t.Errorf("want pricing told 600 s late, got %g", lag)
	}

	tr.save(t.Context())
	if again := tracker(t, m).Told(t0); again == nil || *again != *got {
		t.Errorf("a restart must not forget: want %+v, got %+v", got, again)
	}
	if none := tracker(t, memory{}).Told(t0); none != nil {
		t.Errorf("where metrics show nothing nothing is known, got %+v", none)
	}
}

// Both lists are bounded, and what leaves them leaves every index.
func TestTrackerIsBounded(t *testing.T) {
	m := memory{}
	tr := tracker(t, m)
	for i := range 2 * maxSeen {
		at := t0.Add(-30*time.Hour + time.Duration(i)*time.Second)
		tr.Heard("prom", rolled(fmt.Sprintf("replicaset//shop/s-%d", i), fmt.Sprintf("s-%d", i%50), at), at)
		tr.Heard("ci", deploy(fmt.Sprintf("d-%d", i), fmt.Sprintf("s-%d", i%50)), at)
	}
	indexed := 0
	for _, list := range tr.byService {
		indexed += len(list)
	}
	if len(tr.rec.Rollouts) != maxSeen || indexed != maxSeen || len(tr.rec.Reports) != maxHeard || len(tr.told) != maxHeard {
		t.Errorf("want %d rollouts and %d reports, got %d (%d indexed) and %d (%d)", maxSeen, maxHeard, len(tr.rec.Rollouts), indexed, len(tr.rec.Reports), len(tr.told))
	}
	if got := tr.Told(t0); got == nil || got.Told != maxSeen {
		t.Errorf("want all of them told of, got %+v", got)
	}
	tr.save(t.Context())
	if len(m[stateKey]) > 1<<20 || !json.Valid(m[stateKey]) {
		t.Errorf("what is saved has %d bytes", len(m[stateKey]))
	}
}
