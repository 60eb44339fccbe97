package triage

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What a caller sees of a callee belongs to the edge: with a service it would be taken for that service's own behaviour.
func TestSeriesEdge(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		want   bool
	}{
		"edge":                         {map[string]string{"source": "checkout", "destination": "pricing"}, true},
		"a service's own, by caller":   {map[string]string{"service": "pricing", "source": "checkout", "destination": "pricing"}, false},
		"half an edge":                 {map[string]string{"source": "checkout"}, false},
		"a service's own, by version":  {map[string]string{"service": "pricing", "version": "v2"}, false},
		"an edge of one of its copies": {map[string]string{"source": "checkout", "destination": "db", "version": "v2"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, got := (Series{Labels: c.labels}).Edge(); got != c.want {
				t.Errorf("want edge %v, got %v", c.want, got)
			}
		})
	}
}

// A case without counts reads and writes as it did; one with them keeps them beside the values, cut at the same sample.
func TestSeriesCounts(t *testing.T) {
	at := time.Date(2026, 5, 12, 3, 0, 0, 0, time.UTC)
	s := Series{Stamp: StampEnd, StepS: 60, Start: at, Values: Values{0, .5, 1}, Counts: Values{10, 20, 30}, RangeS: 60}
	cut := s.Until(at.Add(time.Minute))
	if len(cut.Values) != 2 || len(cut.Counts) != 2 {
		t.Errorf("want two values and two counts, got %d and %d", len(cut.Values), len(cut.Counts))
	}
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"counts":[10,20,30]`, `"range_s":60`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("want %s in %s", want, body)
		}
	}
	body, err = json.Marshal(Series{Values: Values{1}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "counts") || strings.Contains(string(body), "range_s") {
		t.Errorf("want no empty counts or range, got %s", body)
	}
}
