package prometheus

import (
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Whether a service is up is known by whatever label its targets carry, under its own name: dead is 0, half dead is a half, and
// what is not scraped has no series.
func TestHealthAgainstRealPrometheus(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now().Truncate(15 * time.Second)
	from := now.Add(-30 * time.Minute)
	died := now.Add(-10 * time.Minute)
	rec := &recording{}
	rec.family("up", from, now, 15*time.Second, func(at time.Time, sample func(string, float64)) {
		alive := 1.0
		if at.After(died) {
			alive = 0
		}
		sample(`job="shop/checkout-api",instance="a:1"`, alive)
		sample(`job="shop/checkout-api",instance="b:1"`, alive)
		sample(`job="cart",instance="a:2"`, 1)
		sample(`job="cart",instance="b:2"`, alive)
		sample(`job="kubernetes-pods",app="pricing",instance="c:3"`, 1)
		sample(`job="elsewhere",instance="c:4"`, 1)
	})
	base := startPrometheus(t, rec, shopConf, map[string]string{"rules.yml": "groups: []\n"})
	s := newSource(t, base, shopDirectory, nil)
	got, err := s.Health(t.Context(), triage.SignalQuery{Services: []string{"checkout", "cart", "pricing", "search"}, From: from, To: now})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"checkout": 0, "cart": .5, "pricing": 1}
	if len(got) != len(want) {
		t.Fatalf("got %d series: %+v", len(got), got)
	}
	for _, sr := range got {
		name := sr.Labels["service"]
		if v := valueAt(sr, now.Add(-time.Minute)); v != want[name] {
			t.Errorf("%s: want %g now, got %g", name, want[name], v)
		}
		if v := valueAt(sr, died.Add(-time.Minute)); v != 1 || sr.Metric != "up" || sr.Better != triage.BetterHigher {
			t.Errorf("%s: want it up before, got %g in %+v", name, v, sr)
		}
	}
}
