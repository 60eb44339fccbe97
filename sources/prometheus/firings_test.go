package prometheus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A short pause is the same firing, a long one another; one that still fires has no end; information is left out; external
// labels are added; and a chunk's edge ends nothing.
func TestFiringsOfARealPrometheus(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now().Truncate(time.Minute).UTC()
	rec := &recording{}
	on := func(at time.Time, from, to int) bool { // minutes ago
		ago := int(now.Sub(at).Minutes())
		return ago <= from && ago >= to
	}
	rec.family("ALERTS", now.Add(-26*time.Hour), now, time.Minute, func(at time.Time, sample func(string, float64)) {
		if on(at, 1500, 1400) { // across the edge of the first chunk, 24 h before now
			sample(`alertname="Long",alertstate="firing",service="cart",severity="page"`, 1)
		}
		if on(at, 300, 290) || on(at, 287, 280) || on(at, 200, 195) || on(at, 3, 0) {
			sample(`alertname="Flappy",alertstate="firing",service="web",severity="page"`, 1)
		}
		if on(at, 305, 301) {
			sample(`alertname="Flappy",alertstate="pending",service="web",severity="page"`, 1)
		}
		if on(at, 3, 0) {
			sample(`alertname="Slow",alertstate="pending",job="cart",severity="page"`, 1)
		}
		if on(at, 100, 0) {
			sample(`alertname="Watchdog",alertstate="firing",severity="none"`, 1)
		}
	})
	rec.family("ALERTS_FOR_STATE", now.Add(-26*time.Hour), now, time.Minute, func(at time.Time, sample func(string, float64)) {
		if on(at, 305, 280) {
			sample(`alertname="Flappy",service="web",severity="page"`, float64(now.Add(-305*time.Minute).Unix()))
		}
		if on(at, 3, 0) {
			sample(`alertname="Flappy",service="web",severity="page"`, float64(now.Add(-4*time.Minute).Unix()))
			sample(`alertname="Slow",job="cart",severity="page"`, float64(now.Add(-8*time.Minute).Unix()))
		}
	})
	base := startPrometheus(t, rec, "global: {scrape_interval: 1m, external_labels: {cluster: eu1}}\n", nil)
	s := newSource(t, base, nil, func(o *Options) { o.Config.QueriesPerMinute = 6000 })
	got, err := s.Firings(t.Context(), now.Add(-26*time.Hour), now, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, a := range got {
		end := "firing"
		if !a.EndsAt.IsZero() {
			end = fmt.Sprint(now.Sub(a.EndsAt).Minutes())
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %v %s", a.Name(), a.Labels["service"], a.Labels["cluster"], now.Sub(a.StartsAt).Minutes(), end))
		if strings.Contains(fmt.Sprint(a.Labels), "alertstate") {
			t.Errorf("labels %v", a.Labels)
		}
	}
	// The last minute with a sample is seen for one minute more.
	want := []string{"Long cart eu1 1500 1399", "Flappy web eu1 300 279", "Flappy web eu1 200 194", "Flappy web eu1 3 firing"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("firings, minutes ago (-want +got):\n%s", d)
	}
	if len(got) < 2 {
		t.Fatal("no second firing")
	}
	since, err := s.ActiveSince(t.Context(), got[1])
	if err != nil || !since.Equal(now.Add(-305*time.Minute)) {
		t.Errorf("active since %s, %v; want %s", since, err, now.Add(-305*time.Minute))
	}
	lines = nil
	for _, a := range NewSet([]*Source{s, s}).ActiveAlerts(t.Context(), now) {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %v", a.Name, a.Service, a.Severity, a.State, a.Labels["cluster"], now.Sub(a.ActiveAt).Minutes()))
	}
	if d := cmp.Diff([]string{"Slow cart page pending eu1 8", "Flappy web page firing eu1 4"}, lines); d != "" {
		t.Errorf("active alerts, minutes ago (-want +got):\n%s", d)
	}
}
