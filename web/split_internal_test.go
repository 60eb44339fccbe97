package web

import (
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// The version that a suspect brought stands out, though it has no past to have shifted from.
func TestSplitStressesTheAccusedVersion(t *testing.T) {
	onset := noon
	series := func(version string, start time.Time, values ...float64) triage.Series {
		return triage.Series{Metric: "http_requests_total failed share", Signal: triage.SignalErrors, Labels: map[string]string{"service": "checkout", "version": version}, Start: start, StepS: 60, Values: values}
	}
	c := triage.Case{Series: []triage.Series{
		series("v1", onset.Add(-4*time.Minute), .002, .002, .002, .002, .003, .003), series("v2", onset, .38, .39),
	}}
	deploy := &triage.Change{ID: "d", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "checkout"}, Version: "v2"}
	r := triage.Report{
		Onset:    triage.Onset{Interval: triage.Interval{Earliest: onset, Best: onset, Latest: onset}},
		Suspects: []triage.Suspect{{Rank: 1, Change: deploy, Probability: .9, For: []triage.Evidence{{Factor: "split", Contribution: 4000, Direct: true}}}},
		None:     triage.None{Probability: .1},
	}
	got := splits(r, c, onset.Add(-5*time.Minute), onset.Add(5*time.Minute))
	if len(got) != 1 {
		t.Fatalf("got %d pictures", len(got))
	}
	picture := string(got[0].Picture)
	first, second := strings.Index(picture, ">v2<"), strings.Index(picture, ">v1<")
	if first < 0 || second < first {
		t.Errorf("want v2 named before v1:\n%s", picture)
	}
	p := panel{}
	p.plot(c.Series, r.Onset.Interval)
	p.stress("v2")
	if p.Lines[0].Labels["version"] != "v2" || p.Lines[0].Muted || !p.Lines[1].Muted {
		t.Errorf("lines %+v", p.Lines)
	}
	p.stress("v9")
	if p.Lines[0].Muted || !p.Lines[1].Muted {
		t.Error("a version that is not there changes nothing")
	}
}
