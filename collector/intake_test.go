package collector

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

func TestNormalise(t *testing.T) {
	now := at(60)
	base := deploy("d", 10, "v1")
	tests := []struct {
		name   string
		change func(*triage.Change)
		check  func(triage.Change) bool
	}{
		{"an alias becomes the name and is kept", func(c *triage.Change) { c.Service = "checkout-svc" }, func(c triage.Change) bool {
			return c.Service == "checkout" && c.Labels["service_raw"] == "checkout-svc" && c.Labels["service_rule"] == "alias"
		}},
		{"the name itself leaves no label", func(*triage.Change) {}, func(c triage.Change) bool { return c.Service == "checkout" && c.Labels == nil }},
		{"an unknown name is kept and said to be unknown", func(c *triage.Change) { c.Service = "cart" }, func(c triage.Change) bool {
			return c.Service == "cart" && c.Labels["service_rule"] == "unknown" && c.Labels["service_raw"] == ""
		}},
		{"environment", func(c *triage.Change) { c.Environment = "PRD" }, func(c triage.Change) bool { return c.Environment == "production" }},
		{"observed now if not said", func(c *triage.Change) { c.ObservedAt = time.Time{} }, func(c triage.Change) bool { return c.ObservedAt.Equal(now) }},
		{"id derived", func(c *triage.Change) { c.ID = "" }, func(c triage.Change) bool { return strings.HasPrefix(string(c.ID), "ci:") }},
		{"source filled", func(c *triage.Change) { c.Source = "" }, func(c triage.Change) bool { return c.Source == "push" }},
		{"4 minutes ahead is left", func(c *triage.Change) { c.StartedAt, c.FinishedAt = at(64), time.Time{} }, func(c triage.Change) bool {
			return c.StartedAt.Equal(at(64)) && c.Labels["clock_skew"] == ""
		}},
		{"6 minutes ahead is pulled back", func(c *triage.Change) { c.StartedAt, c.FinishedAt, c.ObservedAt = at(62), at(66), now }, func(c triage.Change) bool {
			return c.StartedAt.Equal(now) && c.FinishedAt.Equal(now) && c.Labels["clock_skew"] == "360"
		}},
		{"steps ahead too", func(c *triage.Change) { c.ObservedAt, c.Steps = now, []triage.Step{{At: at(20)}, {At: at(100)}} }, func(c triage.Change) bool {
			return c.Steps[0].At.Equal(at(20)) && c.Steps[1].At.Equal(now)
		}},
		{"observed in the future is now", func(c *triage.Change) { c.ObservedAt = at(90) }, func(c triage.Change) bool { return c.ObservedAt.Equal(now) }},
		{"only an end: it succeeded, and we say why we think so", func(c *triage.Change) { c.Status, c.StartedAt = "", time.Time{} }, func(c triage.Change) bool {
			return c.Status == triage.StatusSucceeded && c.Labels["status_from"] == "finished_at" && c.StartedAt.IsZero()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := base
			tt.change(&in)
			got, _, err := normalise(in, "push", shopDirectory(), now)
			if err != nil || !tt.check(got) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// The same report sent again must get the same id, whatever our clock and configuration say by then.
func TestDerivedIDIsStable(t *testing.T) {
	c := deploy("", 100, "v1") // its sender's clock is ahead
	c.ObservedAt = time.Time{}
	c.Service = "checkout-svc"
	first, _, err := normalise(c, "push", nil, at(60))
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := normalise(c, "push", shopDirectory(), at(61))
	if err != nil || first.ID != again.ID {
		t.Errorf("got %s then %s, %v", first.ID, again.ID, err)
	}
}

// A record that can never be taken is set aside with its reason and does not hold up the others.
func TestBadRecordsAreQuarantined(t *testing.T) {
	j := newMemJournal()
	reg := prometheus.NewPedanticRegistry()
	c := startCollector(t, j, func(o *Options) { o.Registerer = reg })
	nan := deploy("nan", 1, "v1")
	nan.TimeUncertaintyS = math.NaN()
	noKind := deploy("no-kind", 1, "v1")
	noKind.Kind = ""
	good := deploy("good", 1, "v1")
	anomaly := triage.Anomaly{
		Signal: triage.SignalErrors, Series: "rate(errors)", Scope: triage.Scope{Service: "checkout"}, Onset: triage.Interval{Best: at(1)}, Effect: math.Inf(1),
	}
	err := c.Emit(t.Context(), append(events(nan, noKind, good), triage.Event{}, triage.Event{Anomaly: &anomaly}))
	if err != nil {
		t.Fatal(err)
	}
	if got := find(t, c, triage.ChangeQuery{}); ids(got) != "good" {
		t.Errorf("found %s, want good", ids(got))
	}
	var reasons []string
	for _, q := range j.quarantined {
		reasons = append(reasons, q.Reason)
		if len(q.Body) == 0 || q.ID == "" || q.Source != "push" {
			t.Errorf("quarantined %+v lacks what it takes to find it", q)
		}
	}
	all := strings.Join(reasons, "\n")
	for _, want := range []string{"must be numbers", "kind", "exactly one of them", "finite"} {
		if !strings.Contains(all, want) {
			t.Errorf("no reason says %q:\n%s", want, all)
		}
	}
	if n := testutil.ToFloat64(c.metrics.quarantined.WithLabelValues("push")); n != 4 {
		t.Errorf("counted %g, want 4", n)
	}
}

func TestClockSkewIsCounted(t *testing.T) {
	c := startCollector(t, newMemJournal(), nil)
	emit(t, c, deploy("a", 90, "v1"), deploy("b", 50, "v2"))
	if n := testutil.ToFloat64(c.metrics.skew); n != 1 {
		t.Errorf("counted %g, want 1", n)
	}
}
