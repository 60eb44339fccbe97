package backfill

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var end = time.Date(2026, 3, 15, 10, 0, 0, 0, time.UTC)

// What ALERTS says must be what the script says: every page fires within a few minutes of its onset, and nothing else does for
// a service on its own.
func TestAlertsFollowTheScript(t *testing.T) {
	w := New(end, 1)
	if n := len(w.Pages); n != 20 {
		t.Fatalf("want 20 pages, got %d", n)
	}
	byChange := 0
	for _, p := range w.Pages {
		if p.ByChange() {
			byChange++
		}
	}
	if byChange != 12 {
		t.Fatalf("want 12 pages set off by a change, got %d", byChange)
	}
	fired := make(map[string][]time.Time)
	samples := 0
	err := w.Each(func(ls []string, ss []Sample) error {
		samples += len(ss)
		if !slices.IsSortedFunc(ss, func(a, b Sample) int { return int(a.T - b.T) }) {
			t.Errorf("samples of %v are not in order", ls)
		}
		label := func(name string) string {
			for i := 0; i < len(ls); i += 2 {
				if ls[i] == name {
					return ls[i+1]
				}
			}
			return ""
		}
		if label("__name__") != "ALERTS" || label("alertstate") != "firing" || label("alertname") == "Watchdog" {
			return nil
		}
		key := label("alertname") + " " + label("service")
		for i, s := range ss {
			if i == 0 || s.T-ss[i-1].T > (5*time.Minute).Milliseconds() {
				fired[key] = append(fired[key], time.UnixMilli(s.T).UTC())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d samples", samples)
	for _, p := range w.Pages {
		key := p.Alert + " " + p.Service
		i := slices.IndexFunc(fired[key], func(at time.Time) bool {
			return !at.Before(p.Onset) && at.Before(p.Onset.Add(12*time.Minute))
		})
		if i < 0 {
			t.Errorf("%s at %s: did not fire in time; fired at %v", key, p.Onset, fired[key])
			continue
		}
		fired[key] = slices.Delete(fired[key], i, i+1)
	}
	for key, left := range fired {
		for _, at := range left {
			if !slices.ContainsFunc(w.Pages, func(p Page) bool { return at.After(p.Onset) && at.Before(p.End.Add(10*time.Minute)) }) {
				t.Errorf("%s fired at %s, which no page explains", key, at)
			} else {
				t.Logf("besides: %s at %s", key, at)
			}
		}
	}
}

func TestSameSeedSameSamples(t *testing.T) {
	enough := errors.New("enough")
	sum := func() (n int, total float64) {
		err := New(end, 7).Each(func(_ []string, ss []Sample) error {
			for _, s := range ss {
				n++
				total += s.V * float64(s.T%997)
			}
			if n > 500_000 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		return n, total
	}
	n1, s1 := sum()
	if n2, s2 := sum(); n1 != n2 || s1 != s2 {
		t.Errorf("not the same twice: %d samples %g, %d samples %g", n1, s1, n2, s2)
	}
}

func TestBlocksAreWritten(t *testing.T) {
	began := time.Now()
	dir := t.TempDir()
	if err := New(end, 1).WriteBlocks(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote the block in %s", time.Since(began))
}
