package collector

import (
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func TestUsualGap(t *testing.T) {
	tests := []struct {
		name    string
		minutes []float64
		want    time.Duration
	}{
		{"nine say nothing", []float64{0, 10, 20, 30, 40, 50, 60, 70, 80}, 0},
		{"every ten minutes", []float64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}, 10 * time.Minute},
		{"in any order", []float64{90, 0, 80, 10, 70, 20, 60, 30, 50, 40}, 10 * time.Minute},
		{"a night does not change the median", []float64{0, 10, 20, 30, 40, 50, 600, 610, 620, 630}, 10 * time.Minute},
		{"the statuses of one deploy are one occasion", []float64{0, 0.1, 0.2, 0.9, 10, 10.1, 10.2, 20, 20.1, 20.2, 20.3}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h heard
			for _, m := range tt.minutes {
				h.event(at(m), at(1000))
			}
			if got := h.usualGap(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if int(h.events) != len(tt.minutes) {
				t.Errorf("counted %d events, want %d", h.events, len(tt.minutes))
			}
		})
	}
}

// A source is silent when it is quiet against its own rate, not against ours; what it says of itself comes first.
func TestCoverage(t *testing.T) {
	says := func(state triage.SourceState) triage.SourceStatus {
		return triage.SourceStatus{State: state, Detail: "its own words", LagS: 3}
	}
	tests := []struct {
		name   string
		gap    float64 // minutes between its ten events, the last of which is at minute 0
		status triage.SourceStatus
		to     float64
		want   triage.SourceState
		detail string
	}{
		{"within five gaps", 4, says(triage.SourceOK), 19, triage.SourceOK, "its own words"},
		{"beyond five gaps", 4, says(triage.SourceOK), 21, triage.SourceSilent, "nothing heard for 21 min; usually there is something every 4m0s"},
		{"five minutes at least", 1, says(triage.SourceOK), 4.9, triage.SourceOK, "its own words"},
		{"a slow source may be quiet for long", 90, says(triage.SourceOK), 400, triage.SourceOK, "its own words"},
		{"down comes before silent", 4, says(triage.SourceDown), 100, triage.SourceDown, "its own words"},
		{"rate limited too", 4, says(triage.SourceRateLimited), 100, triage.SourceRateLimited, "its own words"},
		{"late too", 4, says(triage.SourceLate), 1, triage.SourceLate, "its own words"},
		{"no word is ok", 4, triage.SourceStatus{}, 1, triage.SourceOK, ""},
		{"asked about the past", 4, says(triage.SourceOK), -20, triage.SourceOK, "its own words"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := startCollector(t, newMemJournal(), func(o *Options) { o.Now = func() time.Time { return at(1000) } })
			src := &fakeSource{name: "s", run: untilDone}
			src.set(tt.status)
			c.SetSources([]Source{src})
			for i := range 10 {
				c.sup.heard("s", at(-float64(i)*tt.gap), at(1000))
			}
			got := c.Coverage(at(tt.to-30), at(tt.to))
			if len(got) != 1 || got[0].State != tt.want || got[0].Detail != tt.detail || got[0].UsualGapS != tt.gap*60 {
				t.Errorf("got %+v, want %s: %s", got, tt.want, tt.detail)
			}
			if got[0].LastEvent.After(at(tt.to)) || !got[0].From.Equal(at(tt.to-30)) || got[0].Source != "s" {
				t.Errorf("got %+v", got[0])
			}
		})
	}
}

// A source that hangs from the start thinks it is well; nobody should believe it. Once it has answered, or anything came of it, it is.
func TestCoverageOfOneThatNeverAnswered(t *testing.T) {
	c := startCollector(t, newMemJournal(), nil)
	src := &fakeSource{name: "s", run: untilDone}
	c.SetSources([]Source{src})
	state := func() triage.SourceState { return c.Coverage(at(0), at(60))[0].State }
	src.set(triage.SourceStatus{State: triage.SourceOK})
	if got := state(); got != triage.SourceDown {
		t.Errorf("never answered: got %s, want down", got)
	}
	src.set(triage.SourceStatus{State: triage.SourceOK, LastSuccess: at(1)})
	if got := state(); got != triage.SourceOK {
		t.Errorf("answered: got %s, want ok", got)
	}
	src.set(triage.SourceStatus{State: triage.SourceOK})
	c.sup.heard("s", at(59), at(60))
	if got := state(); got != triage.SourceOK {
		t.Errorf("heard of: got %s, want ok", got)
	}
}

// Whoever pushes has no supervised source behind it, but a rate all the same.
func TestCoverageOfPush(t *testing.T) {
	c := startCollector(t, newMemJournal(), nil)
	if got := c.Coverage(at(0), at(60)); len(got) != 0 {
		t.Errorf("before anything was pushed: %+v", got)
	}
	for i := range 10 {
		emit(t, c, deploy("", float64(i)*2, strings.Repeat("v", i+1)))
	}
	got := c.Coverage(at(0), at(60))
	if len(got) != 1 || got[0].Source != "push" || got[0].State != triage.SourceSilent || !got[0].LastEvent.Equal(at(19)) {
		t.Errorf("got %+v, want push silent since minute 19", got)
	}
	if now := c.Sources(); len(now) != 1 || now[0].State != got[0].State || now[0].Detail != got[0].Detail {
		t.Errorf("what a source is now must be judged alike: %+v", now)
	}
}

func TestAnomalyStore(t *testing.T) {
	s := &anomalyStore{byID: make(map[triage.AnomalyID]*triage.Anomaly), max: 10}
	anomaly := func(id triage.AnomalyID, minute float64) *triage.Anomaly {
		return &triage.Anomaly{ID: id, Signal: triage.SignalErrors, Series: "errors", Scope: triage.Scope{Service: "checkout"}, Onset: triage.Interval{Best: at(minute)}, ObservedAt: at(minute)}
	}
	for i := range 11 {
		s.put(anomaly(triage.AnomalyID(rune('a'+i)), float64(i)))
	}
	if len(s.byID) != 10 || s.byID["a"] != nil {
		t.Errorf("holds %d, want the 10 latest", len(s.byID))
	}
	ended := anomaly("b", 1)
	ended.EndedAt = at(2)
	s.put(ended)
	find := func(q triage.ChangeQuery) string {
		var out strings.Builder
		for _, a := range s.find(q) {
			out.WriteString(string(a.ID))
		}
		return out.String()
	}
	for _, tt := range []struct {
		name, want string
		q          triage.ChangeQuery
	}{
		{"what has ended before is over, what has not goes on", "cde", triage.ChangeQuery{From: at(3), To: at(4)}},
		{"another service", "", triage.ChangeQuery{Services: []string{"payments"}}},
		{"limit", "bc", triage.ChangeQuery{Limit: 2}},
		{"text", "bcdefghijk", triage.ChangeQuery{Text: "ERR"}},
	} {
		if got := find(tt.q); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	s.evictBefore(at(9))
	if got := find(triage.ChangeQuery{}); got != "jk" {
		t.Errorf("after eviction: got %q, want jk", got)
	}
}
